"""Free composition: named combinations equal their algorithm bit for bit, others equal the push of the reference."""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from harness import Team, make

from hogwild import reference
from hogwild.buffers import Scope
from hogwild.config import Config
from hogwild.drivers.job.job import make_job
from hogwild.drivers.processes.trainer import Trainer
from hogwild.drivers.simulated.simulator import Simulator
from hogwild.errors import UsageError
from hogwild.runs.console import Console
from hogwild.runs.directory import RunDirectory
from hogwild.shared.layout import ParameterLayout
from hogwild.tasks import build_model, load

NAMED: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("gap-aware", {}, {"penalty": "gap", "momentum": 0.9}),
    ("gap-aware", {"momentum": 0.0, "gap_unit": "step"}, {"penalty": "gap", "gap_unit": "step"}),
    (
        "gap-aware",
        {"gap_level": "layer", "gap_lagged": True, "gap_reference": "lr"},
        {"penalty": "gap", "momentum": 0.9, "gap_level": "layer", "gap_lagged": True, "gap_reference": "lr"},
    ),
    ("gap-aware", {"gap_level": "global"}, {"penalty": "gap", "momentum": 0.9, "gap_level": "global"}),
    ("shifted", {}, {"momentum_kind": "shifted", "momentum": 0.9}),
    (
        "shifted",
        {"dampening": 0.9, "first_step": "damped"},
        {"momentum_kind": "shifted", "momentum": 0.9, "dampening": 0.9, "first_step": "damped"},
    ),
    ("nag-asgd", {}, {"momentum_kind": "nesterov", "momentum": 0.9}),
    ("dana-zero", {}, {"momentum_kind": "dana", "momentum": 0.9}),
    ("dana-slim", {}, {"momentum_kind": "dana-slim", "momentum": 0.9}),
    ("dana-ga", {}, {"momentum_kind": "dana", "momentum": 0.9, "penalty": "gap", "penalize_wd": False}),
    ("dana-sa", {}, {"momentum_kind": "dana", "momentum": 0.9, "penalty": "staleness"}),
    ("dc-asgd", {}, {"compensation": "dc-adaptive"}),
    (
        "dc-asgd",
        {"dc_adaptive": False, "dc_power": 1, "dc_lambda": 0.5, "momentum": 0.9},
        {"compensation": "dc", "dc_power": 1, "dc_lambda": 0.5, "momentum": 0.9},
    ),
    ("staleness-aware", {}, {"penalty": "staleness-lr", "momentum": 0.9}),
    ("clipped", {}, {"clip": 1.0}),
    ("smega2", {}, {"momentum_kind": "smega2", "momentum": 0.9}),
    ("ormo", {}, {"momentum_kind": "ormo", "momentum": 0.9}),
]


def simulate(folder: Path, **values: Any) -> tuple[torch.Tensor, bytes]:
    config = Config.from_values(
        {
            "out": str(folder), "name": str(values["algorithm"]), "quiet": True, "clock": "gamma:cv=0.3", "workers": 4,
            "updates": 80, "lr": 0.02, "weight_decay": 1e-2, "model": "logistic", "eval_every": 0, **values,
        }
    )  # fmt: skip
    run = RunDirectory.create(config)
    try:
        job = make_job(config, load(config.data), partial(build_model, config.model))
        simulator = Simulator(job, run, Console(quiet=True))
        simulator.run()
        return simulator.world.arena.tensor("x").clone(), (run.path / "pushes.csv").read_bytes()
    finally:
        run.close()


@pytest.mark.parametrize(("name", "options", "parts"), NAMED)
def test_a_named_algorithm_is_its_composition_bit_for_bit(
    tmp_path: Path, name: str, options: dict[str, Any], parts: dict[str, Any]
):
    named, composed = make(name, **options), make("asgd", **without_clip(parts))
    assert composed.stability_rule == named.stability_rule
    assert composed.needs_snapshot == named.needs_snapshot
    assert composed.numbers_pushes == named.numbers_pushes
    x, pushes = simulate(tmp_path, algorithm=name, **options)
    other, other_pushes = simulate(tmp_path, algorithm="asgd", **parts)
    assert torch.equal(x, other)
    assert pushes == other_pushes


def without_clip(values: dict[str, Any]) -> dict[str, Any]:
    """The options of the algorithm; clip is an option of the run."""
    return {name: value for name, value in values.items() if name != "clip"}


SHAPES = [(7, 3), (5,)]
UNNAMED: list[dict[str, Any]] = [
    {"penalty": "gap", "momentum_kind": "shifted", "momentum": 0.9, "clip": 0.7},
    {"penalty": "gap", "momentum_kind": "nesterov", "momentum": 0.8, "gap_level": "layer"},
    {"penalty": "gap", "momentum_kind": "dana-slim", "momentum": 0.8, "gap_unit": "g", "penalize_wd": False},
    {"penalty": "gap", "momentum_kind": "shifted", "momentum": 0.9, "gap_level": "global", "gap_lagged": True},
    {"penalty": "gap", "momentum": 0.9, "gap_size": "layer"},
    {"penalty": "staleness", "momentum_kind": "shifted", "momentum": 0.9, "dampening": 0.5, "clip": 0.3},
    {"penalty": "staleness-lr", "momentum_kind": "shifted", "momentum": 0.9, "compensation": "dc"},
    {"compensation": "dc", "momentum_kind": "dana", "momentum": 0.9, "dc_lambda": 0.3, "clip": 1.0},
    {"compensation": "dc-adaptive", "momentum_kind": "nesterov", "momentum": 0.9, "dc_decay": 0.8},
    {"penalty": "staleness", "momentum_kind": "smega2", "momentum": 0.9, "clip": 0.5},
    {"penalty": "staleness", "momentum_kind": "ormo", "momentum": 0.9, "clip": 0.5},
]


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.parts = torch.nn.ParameterList(
            [torch.nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64)) for shape in SHAPES]
        )


@pytest.mark.parametrize("options", UNNAMED)
def test_a_composition_without_a_name_is_the_push_of_the_reference(options: dict[str, Any]):
    """Three workers in random order, float64, against the same stages called by hand in numpy."""
    workers, lr, wd, turns = 3, 0.05, 0.01, 60
    algorithm = make("asgd", **without_clip(options))
    noise = torch.Generator().manual_seed(8)
    layout = ParameterLayout.of(Net(), torch.float64)

    def gradient(at: torch.Tensor, rank: int) -> list[torch.Tensor]:
        views = layout.views(at)
        return [torch.sin(2 * v) + 0.3 * torch.randn(v.shape, generator=noise, dtype=v.dtype) for v in views]

    team = Team(algorithm, Net(), workers, gradient, lr, wd, clip=options.get("clip", 0.0))
    arena, declared = team.world.arena, algorithm.keeps()
    ours = Net()
    start = np.zeros(layout.n)
    for (offset, numel), part in zip(layout.segments, ours.parts, strict=True):
        start[offset : offset + numel] = part.detach().reshape(-1).numpy()

    def fresh(name: str) -> np.ndarray:
        if name in ("x", "snapshot"):
            return start.copy()
        return np.zeros((len(SHAPES), 3)) if name == "gap_state" else np.zeros(layout.n)

    kept = {name: [fresh(name)] * workers if buffer.scope is Scope.SHARED else [fresh(name) for _ in range(workers)]
            for name, buffer in declared.items()}  # fmt: skip
    momentum = algorithm._momentum(workers)  # type: ignore[attr-defined]
    pulled, pushes = [0] * workers, [0] * workers
    order = random.Random(2)
    for version in range(turns):
        rank = order.randrange(workers)
        answers = [part.numpy().copy() for part in team.answers[rank]]
        team.turn(rank)
        delay = version - pulled[rank]
        late = max(1, delay)
        stats = reference.push(
            {name: kept[name][rank] for name in kept},
            layout.segments,
            answers,
            lr=lr / late if options.get("penalty") == "staleness-lr" else lr,
            scale=1 / late if options.get("penalty") == "staleness" else 1.0,
            clip=options.get("clip", 0.0),
            pushes=version,
            lr_max=lr,
            weight_decay=wd,
            first_step=(version if declared["v"].scope is Scope.SHARED else pushes[rank]) == 0,
            delay=delay,
            penalty=algorithm.gap() if options.get("penalty") == "gap" else None,  # type: ignore[attr-defined]
            momentum=momentum,
            compensation=algorithm.compensated(adaptive=options["compensation"] == "dc-adaptive")  # type: ignore[attr-defined]
            if "compensation" in options else None,
        )  # fmt: skip
        assert stats.applied
        pulled[rank], pushes[rank] = version + 1, pushes[rank] + 1
        for name in kept:
            if name != "gap_state":
                here = slice(0, layout.segments[-1][0] + layout.segments[-1][1])
                found = arena.tensor(name, rank).numpy()[here]
                np.testing.assert_allclose(found, kept[name][rank][here], rtol=1e-9, atol=1e-12, err_msg=name)
    assert min(pushes) > turns // 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"momentum_kind": "shifted"}, "momentum_kind is shifted but there is no momentum: give one"),
        ({"dampening": 0.5}, "dampening is 0.5 but there is no momentum"),
        ({"momentum": 0.9, "first_step": "damped"}, "first_step is damped but there is no dampening"),
        ({"momentum": 0.9, "momentum_kind": "dana", "dampening": 0.5}, "dampening is for momentum_kind heavy-ball or"),
        ({"gap_level": "layer"}, "gap_level is an option of penalty gap, this one is none"),
        ({"penalty": "staleness", "penalize_wd": False}, "penalize_wd is an option of penalty gap, this one is stal"),
        ({"penalty": "gap", "gap_lagged": True}, "the element-wise form needs no second pass"),
        ({"penalty": "gap", "gap_level": "layer", "gap_size": "global"}, "leave out one of the two"),
        ({"dc_lambda": 1.0}, "dc_lambda is an option of compensation dc: add it or leave dc_lambda out"),
        ({"compensation": "dc", "dc_decay": 0.5}, "dc_decay is an option of compensation dc-adaptive"),
        ({"penalty": "gap", "compensation": "dc"}, "penalty gap shrinks the error that compensation dc corrects"),
        ({"penalty": "staleness", "compensation": "dc"}, "use penalty staleness-lr, it divides the step"),
        ({"penalty": "staleness-lr", "momentum": 0.9, "momentum_kind": "dana"}, "dana looks ahead by lr"),
        ({"penalty": "gap", "momentum": 0.9, "momentum_kind": "ormo"}, "ormo orders all gradients and takes no penal"),
        ({"compensation": "dc", "momentum": 0.9, "momentum_kind": "smega2"}, "takes no compensation dc"),
        ({"penalty": "gap", "read": "inplace"}, "compares the master with a snapshot: use --read snapshot"),
        ({"momentum": 0.9, "momentum_kind": "ormo"}, "counts pushes, one at a time: use --access locked"),
        ({"penalty": "staleness", "lr": "auto"}, "no stability theory is known for algorithm asgd"),
        ({"clip": -1.0}, "clip: -1.0 is not allowed; it must be a number >= 0"),
        ({"penalty": "gaps"}, "Did you mean 'gap'"),
    ],
)
def test_senseless_combinations_are_refused_in_one_line(options: dict[str, Any], message: str):
    with pytest.raises(UsageError, match=message) as refusal:
        Config.from_values(options)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("m", "kind", "rule"), [(0.9, "shifted", "shifted"), (0.9, "dana", "dana"), (0.0, None, "none")]
)
def test_the_theory_follows_the_kind_of_momentum(m: float, kind: str | None, rule: str):
    from hogwild.theory import stability

    options = {"momentum": m, "momentum_kind": kind} if kind else {}
    config = Config.from_values({"workers": 9, "lr": "auto", "penalty": "gap", **options})
    assert config.lr == pytest.approx(0.1 * stability.threshold(rule, 8, m) / 2, rel=1e-5)


@pytest.mark.slow
def test_a_composition_trains_with_two_processes(tmp_path: Path):
    values = {"penalty": "gap", "momentum_kind": "shifted", "momentum": 0.9, "clip": 1.0, "gap_level": "layer"}
    config = Config.from_values({"out": str(tmp_path), "epochs": 4, "lr": 0.02, "quiet": True, "workers": 2, **values})
    run = RunDirectory.create(config)
    try:
        job = make_job(config, load(config.data), partial(build_model, config.model))
        summary = Trainer(job, run, Console(quiet=True)).run()
    finally:
        run.close()
    assert summary["test_accuracy"] > 0.8
    assert summary["updates"] == 4 * 45
    assert summary["refused"] == summary["faults"] == 0
