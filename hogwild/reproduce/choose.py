"""Which method when: one runner for experiments that compare methods in a setting, each at its best learning rate.

A cell is a method with its options in a setting of the simulator. It is run at every learning rate of a list with one
seed, and again with the other seeds at the best one: that with which the target is reached first, or the one with the
lowest loss at the end if none reaches it. The target is a training loss, or the accuracy of a reference method with
the same seed (so the same speeds and parts of the data) at the end of its run, less a margin. Time is virtual, in units
of a gradient's mean duration.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hogwild.reproduce.choose_run import Course, course, ending, time_to
from hogwild.reproduce.choose_table import page, plot
from hogwild.reproduce.figure import SMOKE, Figure, Row, Verdict
from hogwild.reproduce.study import Study

COLUMNS = (
    "data", "setting", "workers", "clock", "shard", "latency", "algorithm", "options", "lr", "seed", "chosen", "target",
    "time", "accuracy", "loss", "until", "delay_mean", "delay_sd", "bytes", "gradients",
)  # fmt: skip
LRS = {SMOKE: (0.1,), "tiny": (0.01, 0.03, 0.1, 0.3, 1.0), "paper": (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)}
SIZES: dict[str, dict[str, Any]] = {
    SMOKE: {"data": "digits", "samples": 200, "tests": 100, "points": 2},
    "paper": {"samples": 60_000, "tests": 10_000, "points": 60},
}
DIGITS: dict[str, Any] = {"data": "digits", "samples": 1437, "tests": 360, "points": 30}
FASHION = {"samples": 4000, "tests": 2000, "points": 30}
"""At tiny scale. Fashion-MNIST (digits where it is missing) has samples that a model cannot fit, digits has none."""
LENGTH = {SMOKE: 0.02, "tiny": 1.0, "paper": 4.0}
"""Scale -> factor of a setting's virtual time."""
MODEL = {"model": "mlp", "batch_size": 16, "weight_decay": 0.0, "schedule": "constant", "eval_every": 0}
MARGIN = 0.005  # of accuracy


@dataclass(frozen=True)
class Setting:
    """A situation: its name, its virtual time, and fields of Config. `tiny`: the data at that scale. `message`: the
    time of a model between a worker and the shared memory, where the bandwidth limits it; the rows have it as latency.
    """

    name: str
    until: float
    values: Mapping[str, Any]
    tiny: Mapping[str, Any] = field(default_factory=lambda: DIGITS)
    message: float = 0.0


@dataclass(frozen=True)
class Cell:
    """A method in a setting. `finer`: its learning rates are those of the list divided by that (10 where a momentum of
    0.9 adds gradients up). `options`: fields of Config and of the algorithm.
    """

    setting: Setting
    algorithm: str
    options: Mapping[str, Any] = field(default_factory=dict)
    finer: float = 1.0

    def case(self, study: Study, lr: float, seed: int) -> dict[str, Any]:
        """The arguments of one run."""
        sizes = self.setting.tiny if study.scale == "tiny" else SIZES[study.scale]
        length = {"data": study.data, "until": self.setting.until * LENGTH[study.scale], **sizes}
        own = {"algorithm": self.algorithm, "lr": lr, "seed": seed}
        return {**MODEL, **length, **self.setting.values, **self.options, **own}


@dataclass(frozen=True)
class Experiment:
    """A question with its cells. `target`: a training loss, or the name of the reference algorithm. `seeds` and `lrs`:
    tiny's, in place of 1 and LRS; paper has three seeds and LRS.
    """

    name: str
    claim: str
    cells: tuple[Cell, ...]
    target: float | str
    verdict: Callable[[Sequence[Row]], Verdict]
    seeds: int = 1
    lrs: tuple[float, ...] = ()

    def figure(self, source: str) -> Figure:
        return Figure(self.name, source, self.claim, COLUMNS, self.compute, self.verdict, plot, page)

    def compute(self, study: Study) -> list[Row]:
        """A row per run: at every learning rate with the first seed, and at the best one with all seeds."""
        cells = self.cells[:2] if study.scale == SMOKE else self.cells
        lrs = self.lrs if self.lrs and study.scale == "tiny" else LRS[study.scale]
        found = iter(study.run(course, [cell.case(study, lr / cell.finer, study.seed) for cell in cells for lr in lrs]))
        tried = [{lr / cell.finer: next(found) for lr in lrs} for cell in cells]
        references = {c.setting.name: n for n, c in enumerate(cells) if c.algorithm == self.target}
        goals = {
            (name, seed): ending(one).accuracy - MARGIN
            for name, number in references.items()
            for _, seed, one in self._repeated(study, cells[number], most_accurate(tried[number]))
        }
        column = 2 if goals else 1
        rows: list[Row] = []
        for number, (cell, at_lr) in enumerate(zip(cells, tried, strict=True)):
            first = goals.get((cell.setting.name, study.seed), self.target)
            is_reference = number in references.values()
            best = most_accurate(at_lr) if is_reference else soonest(at_lr, float(first), column)
            others = [(lr, study.seed, one) for lr, one in at_lr.items() if lr != best]
            for lr, seed, one in [*others, *self._repeated(study, cell, best)]:
                goal = float(goals.get((cell.setting.name, seed), self.target))
                time = time_to(one["points"], goal, column)
                rows.append(row_of(cell, cell.case(study, lr, seed), lr == best, goal, time, one))
        return rows

    def _repeated(self, study: Study, cell: Cell, lr: float) -> list[tuple[float, int, Course]]:
        """That cell with every seed."""
        seeds = range(study.seed, study.seed + (3 if study.scale == "paper" else self.seeds))
        found = study.run(course, [cell.case(study, lr, seed) for seed in seeds])
        return [(lr, seed, one) for seed, one in zip(seeds, found, strict=True)]


def most_accurate(at_lr: Mapping[float, Course]) -> float:
    return max(at_lr, key=lambda lr: ending(at_lr[lr]).accuracy)


def soonest(at_lr: Mapping[float, Course], goal: float, column: int) -> float:
    """The learning rate that reaches the goal first; that of the lowest loss at the end if none does."""

    def order(lr: float) -> tuple[float, float]:
        time = time_to(at_lr[lr]["points"], goal, column)
        return (math.inf if time is None else time), ending(at_lr[lr]).loss

    return min(at_lr, key=order)


def row_of(cell: Cell, case: Mapping[str, Any], chosen: bool, goal: float, time: float | None, found: Course) -> Row:
    end, named = ending(found), " ".join(f"{name}={value}" for name, value in cell.options.items())
    measured = {name: found[name] for name in ("delay_mean", "delay_sd", "bytes", "gradients")}
    same = {name: case.get(name) for name in ("data", "workers", "clock", "algorithm", "lr", "seed", "until")}
    return {
        **same,
        "setting": cell.setting.name,
        "shard": case.get("shard", "none"),
        "latency": cell.setting.message or case.get("latency", 0.0),
        "options": named or None,
        "chosen": int(chosen),
        "target": goal,
        "time": time,
        "accuracy": end.accuracy or None,
        "loss": None if math.isinf(end.loss) else end.loss,
        **measured,
    }
