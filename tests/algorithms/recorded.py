"""A recorded run of every algorithm: a small model after 50 and after 200 updates on digits, in the simulator.

    python tests/algorithms/recorded.py --hash      a line `sha256 name` per run, of the exact bits, to compare two
                                                    versions of the code on one machine
    python tests/algorithms/recorded.py --write     write recorded.json, after an intended change

Bits depend on the BLAS of the machine, so recorded.json holds numbers instead: sums over the parameters and some of
them, which another BLAS changes in the last digits only.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

import hogwild
from hogwild.algorithms import REGISTRY
from hogwild.tasks import load

RECORDED = Path(__file__).parents[1] / "fixtures" / "recorded.json"
SHORT, LONG = 50, 200  # updates
WORKERS = 3
MOMENTUM = 0.7
COMMON = {"lr": 0.05, "weight_decay": 0.01, "batch_size": 7, "dtype": "float64", "seed": 5, "eval_every": 0,
          "clock": "gamma:cv=0.4,het=0.3,burst=0.05x9", "takeover": False}  # fmt: skip
OPTIONS: dict[str, dict[str, object]] = {  # so that 50 updates execute every line of an algorithm
    "easgd": {"period": 3},
    "eamsgd": {"period": 3, "beta_per": "step"},
    "easgd-tree": {"degree": 2, "period": 2, "period_up": 5, "workers": 4},
    "lookahead": {"period": 3},
    "local-sgd": {"period": 3, "local_from": 10},
    "diloco": {"period": 4},
    "slowmo": {"period": 4},
    "async-diloco": {"period": 4, "outer_every": 4, "outer_lr": 0.7},
    "streaming-diloco": {"period": 8},
    "overlap-sgd": {"period": 4},
    "sparta": {"fraction": 0.2, "period": 2},
    "noloco": {"period": 4},
    "fedbuff": {"period": 3, "k": 2},
    "mvadownpour": {"average_rate": 0.05},
    "d2": {"recentre": 7},
    "asysg-con": {"gradients": 2},
    "softsync": {"softsync_n": 2, "modulation": "gradient"},
    "k-sync": {"k": 2},
    "k-batch-sync": {"k": 2},
    "k-async": {"k": 2},
    "k-batch-async": {"k": 2},
    "ringmaster": {"delay_limit": 4},
    "ringmaster-muon": {"delay_limit": 4, "lr": 0.02},
    "picky": {"distance_limit": 0.1},
    "dc-asgd": {"momentum": 0.7},
    "clipped": {"clip": 0.5},
    "adamw": {"lr": 0.005},
    "rmsprop": {"lr": 0.005},
    "adagrad": {"initial_accumulator": 0.1},
    "lion": {"lr": 0.002},
}  # fmt: skip
VARIANTS: dict[str, dict[str, object]] = {  # compositions without a name
    "asgd gap layer": {"penalty": "gap", "gap_level": "layer"},
    "asgd gap global lagged": {"penalty": "gap", "gap_level": "global", "gap_lagged": True, "gap_unit": "g"},
    "asgd gap element of layer": {"penalty": "gap", "gap_size": "layer", "gap_unit": "step", "gap_reference": "lr"},
    "asgd gap step": {"penalty": "gap", "gap_unit": "step", "penalize_wd": False},
    "asgd dc": {"compensation": "dc", "dc_power": 1},
    "asgd staleness": {"penalty": "staleness"},
    "asgd staleness-lr": {"penalty": "staleness-lr", "compensation": "dc-adaptive", "momentum_kind": "shifted"},
    "asgd dampened": {"dampening": 0.3, "first_step": "damped"},
    "asgd inplace": {"read": "inplace"},
    "asgd cosine": {"schedule": "cosine", "warmup": 0.2, "clip": 0.4},
    "asgd element": {"guard": "element"},
    "asgd const delay": {"clock": "const:2", "penalty": "gap"},
    "delay-adaptive koloskova": {"rule": "koloskova", "delay_cutoff": 2},
    "easgd average": {"period": 2, "evaluate": "average", "exchange": "post"},
    "easgd replicas": {"period": 2, "evaluate": "mean"},
    "easgd-sync gauss-seidel": {"form": "gauss-seidel"},
    "d-psgd star": {"topology": "star", "combine": "last", "average_momentum": True, "weights": "metropolis"},
    "ad-psgd bipartite": {"topology": "ring", "pairing": "bipartite", "workers": 4},
    "asysg-incon one": {"coords": "one", "lr": 2.0},
    "asysg-incon block": {"coords": "block"},
    "softsync average": {"softsync_n": 1, "modulation": "average"},
    "adamw dana gap": {"lr": 0.005, "momentum_kind": "dana", "penalty": "gap"},
    "adamw heavy-ball": {"lr": 0.005, "momentum_kind": "heavy-ball", "gap_size": "layer", "penalty": "gap"},
    "adamw shifted L2": {"lr": 0.005, "momentum_kind": "shifted", "decoupled": False, "q_scope": "worker"},
    "rmsprop torch": {"lr": 0.005, "eps_inside": False, "eps": 1e-4, "penalty": "staleness-lr"},
    "lion shifted": {"lr": 0.002, "momentum_kind": "shifted", "clip": 0.4},
    "diloco adamw": {"lr": 0.005, "period": 4, "local_rule": "adamw"},
    "easgd lion": {"lr": 0.002, "period": 2, "local_rule": "lion"},
    "ia2sgd max age": {"max_age": 3},
    "downpour limit": {"period": 2, "delay_limit": 7},
    "lookahead outer momentum": {"period": 3, "outer_momentum": 0.6},
    "nag-asgd ahead": {"ahead": 0.4},
    "async-diloco speed": {"period": 4, "outer_every": 3, "activation": 0.2, "local_steps": "speed"},
    "local-sgd outer": {"period": 3, "outer_lr": 1.3},
    "relaysgd binary": {"tree": "binary", "workers": 4},
    "smega2 plain": {"advanced": False},
}  # fmt: skip


def model() -> nn.Module:
    """A smooth model with an odd number of parameters, initialised by a sine, because random float32 numbers differ
    between CPUs.
    """
    module = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 9), nn.Tanh(), nn.Linear(9, 17), nn.Tanh(), nn.Linear(17, 10, bias=False)
    ).double()
    flat = [math.sin(3 * i * i + 1) / 3 for i in range(sum(p.numel() for p in module.parameters()))]
    nn.utils.vector_to_parameters(torch.tensor(flat, dtype=torch.float64), module.parameters())
    return module


def runs() -> dict[str, dict[str, object]]:
    """Name of the run -> its options."""
    named = {name: {"algorithm": name, **OPTIONS.get(name, {})} for name in REGISTRY}
    return named | {name: {"algorithm": name.split()[0], **options} for name, options in VARIANTS.items()}


def result(asked: Mapping[str, object], out: Path, updates: int = LONG) -> Tensor:
    """The trained model [925] of one run, with its directory below `out`."""
    algorithm = REGISTRY[str(asked["algorithm"])]
    values: dict[str, object] = {**COMMON, "updates": updates, "workers": algorithm.max_workers or WORKERS, **asked}
    if "momentum" in algorithm.options() and asked.get("local_rule", "sgd") == "sgd":
        values.setdefault("momentum", MOMENTUM)
    trained = hogwild.fit(model, load("digits"), out=str(out), **values)  # type: ignore[arg-type]
    flat = nn.utils.parameters_to_vector(trained.model.parameters()).detach()
    assert flat.dtype is torch.float64
    return flat


def numbers(flat: Tensor) -> list[float]:
    """A summary of a trained model [n], to 12 significant digits: its sums and every 64th element."""
    values = [math.fsum(flat.tolist()), math.fsum((flat**2).tolist()), *flat[::64].tolist(), float(flat[-1])]
    return [float(f"{value:.12g}") for value in values]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--hash", action="store_true")
    mode.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    lines = []
    with tempfile.TemporaryDirectory() as out:
        for name, asked in runs().items():
            flat = result(asked, Path(out))
            if arguments.hash:
                print(hashlib.sha256(flat.numpy().tobytes()).hexdigest(), name, flush=True)
            else:
                found = {SHORT: numbers(result(asked, Path(out), SHORT)), LONG: numbers(flat)}
                lines.append(f"{json.dumps(name)}: {json.dumps(found)}")
    if arguments.write:
        RECORDED.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
