"""python -m bench.boxes: measures what boxes on this machine cost and gain, and writes docs/results/boxes.md."""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import machine
from bench.boxes import overhead, training
from bench.boxes.page import DDP, ONE, SLOW, TWO, page
from hogwild.system import THREAD_VARIABLES

PAGE = Path(__file__).parents[2] / "docs/results/boxes.md"


@dataclass(frozen=True)
class Scale:
    """`layers`: hidden units of the nets whose workers exchanges slow down. `flags`: of the training runs, which are
    `updates` long, or `timed_updates` if one half is slow. `target`: the accuracy that those are timed to.
    """

    layers: Mapping[str, tuple[int, ...]]
    window_s: float
    rounds: int
    flags: tuple[str, ...]
    updates: int
    timed_updates: int
    eval_seconds: str
    seeds: int
    target: float
    ddp_limit_s: float
    ddp_every: int


FULL = Scale(
    layers={"1.3 M": (1024, 512), "16 M": (3584, 3584)},
    window_s=2.0,
    rounds=20,
    flags=("--data", "fashion_mnist", "--model", "lenet", "--batch-size", "64", "--lr", "0.05"),
    updates=4690,  # 5 epochs: boxes that average their models need more of them than one box at the same rate
    timed_updates=2814,
    eval_seconds="5",
    seeds=3,
    target=0.84,
    ddp_limit_s=220.0,
    ddp_every=25,
)
QUICK = Scale(
    layers={"20 K": (24, 24)},
    window_s=0.05,
    rounds=1,
    flags=("--data", "digits", "--model", "mlp", "--batch-size", "32", "--lr", "0.05"),
    updates=400,
    timed_updates=400,
    eval_seconds="1",
    seeds=1,
    target=0.5,
    ddp_limit_s=20.0,
    ddp_every=5,
)


def measure(scale: Scale, folder: Path) -> dict[str, Any]:
    here = machine.describe()
    costs = {name: overhead.measure(hidden, scale.window_s, scale.rounds) for name, hidden in scale.layers.items()}
    runs: dict[str, list[dict[str, Any]]] = {ONE: [], TWO: []}
    for seed in range(scale.seeds):  # evaluated at their end only: here box 0 would take the cores of both boxes for it
        length = ["--updates", str(scale.updates), "--eval-every", "0", "--seed", str(seed)]
        at, seeded = folder / str(seed), [*scale.flags, *length]
        runs[ONE].append(training.one_box(at, seeded))
        runs[TWO].append(training.two_boxes(at, seeded))
    watched = [*scale.flags, "--updates", str(scale.timed_updates), "--eval-seconds", scale.eval_seconds]
    runs[SLOW] = [training.two_boxes(folder / "slow", watched, is_slow=True)]
    limits = ["--accuracy", str(scale.target), "--limit-s", str(scale.ddp_limit_s), "--every", str(scale.ddp_every)]
    runs[DDP] = [training.ddp([*scale.flags, *limits])]
    return {"machine": here, "overhead": costs, "runs": runs}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m bench.boxes", description="Several boxes on this machine.")
    parser.add_argument("--quick", action="store_true", help="small nets and short runs: shows that it works")
    parser.add_argument("--out", type=Path, default=PAGE, metavar="FILE", help="docs/results/boxes.md")
    options = parser.parse_args(argv)
    scale = QUICK if options.quick else FULL
    os.environ |= {**dict.fromkeys(THREAD_VARIABLES, "1"), "GLOO_SOCKET_IFNAME": "lo"}
    with tempfile.TemporaryDirectory() as folder:
        found = measure(scale, Path(folder))
    text = page(found, " ".join(scale.flags), (scale.updates, scale.timed_updates), scale.target)
    print(text)
    options.out.write_text(text)


if __name__ == "__main__":
    main()
