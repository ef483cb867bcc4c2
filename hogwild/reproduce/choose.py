"""Which method when: one runner for experiments that compare methods in a setting, each at its best learning rate.

A cell is a method with its options in a setting of the simulator. It is run at every learning rate of a list with one
seed, and again with the other seeds at the best one: that with which the target is reached first, or the one with the
lowest loss at the end if none reaches it. While the best one is the first or the last of the list, the list is made
longer, WIDER times at most. The target is a training loss, or the best accuracy that a reference method has with the
same seed (so the same speeds and parts of the data) at the end of its run, less a margin. Time is virtual, in units of
a gradient's mean duration.
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
    "data", "setting", "workers", "clock", "shard", "latency", "algorithm", "options", "lr", "seed", "chosen", "goal",
    "target", "time", "accuracy", "loss", "until", "delay_mean", "delay_sd", "bytes", "gradients",
)  # fmt: skip
LRS = {SMOKE: (0.1,), "tiny": (0.01, 0.03, 0.1, 0.3, 1.0), "paper": (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)}
SIZES: dict[str, dict[str, Any]] = {
    SMOKE: {"data": "digits", "samples": 200, "tests": 100, "points": 2},
    "paper": {"samples": 60_000, "tests": 10_000, "points": 120},
}
DIGITS: dict[str, Any] = {"data": "digits", "samples": 1437, "tests": 360, "points": 30}
FASHION = {"samples": 4000, "tests": 2000, "points": 30}
"""At tiny scale. Fashion-MNIST (digits where it is missing) has samples that a model cannot fit, digits has none."""
LENGTH = {SMOKE: 0.02, "tiny": 1.0, "paper": 16.0}
"""Scale -> factor of a setting's virtual time, about that of its samples."""
WIDER = 2  # times
Target = Mapping[str, float] | str
"""Scale -> training loss, or the name of the reference algorithm."""
MODEL = {"model": "mlp", "batch_size": 16, "weight_decay": 0.0, "schedule": "constant", "eval_every": 0}
MARGIN = 0.005  # of accuracy


@dataclass(frozen=True)
class Setting:
    """A situation: its name, its virtual time, and fields of Config. `tiny`: the data at that scale. `message`: the
    time of a model between a worker and the shared memory, where the bandwidth limits it; the rows have it as latency.
    `target`: in place of the experiment's.
    """

    name: str
    until: float
    values: Mapping[str, Any]
    tiny: Mapping[str, Any] = field(default_factory=lambda: DIGITS)
    message: float = 0.0
    target: Target | None = None


@dataclass(frozen=True)
class Cell:
    """A method in a setting. `finer`: its learning rates are those of the list divided by that. `options`: fields of
    Config and of the algorithm.
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
    """A question with its cells. `target`: that of settings without one of their own. `lrs`: tiny's, not LRS."""

    name: str
    claim: str
    cells: tuple[Cell, ...]
    target: Target
    verdict: Callable[[Sequence[Row]], Verdict]
    seeds: int = 3
    lrs: tuple[float, ...] = ()

    def figure(self, source: str) -> Figure:
        return Figure(self.name, source, self.claim, COLUMNS, self.compute, self.verdict, plot, page)

    def compute(self, study: Study) -> list[Row]:
        """A row per run: at every learning rate with the first seed, and at the best one with all seeds."""
        cells = self.cells[:2] if study.scale == SMOKE else self.cells
        lrs = self.lrs if self.lrs and study.scale == "tiny" else LRS[study.scale]
        tried: list[dict[float, Course]] = [{} for _ in cells]
        wanted = [list(lrs)] * len(cells)
        for _ in range(1 + WIDER):
            asked = [(number, lr / cells[number].finer) for number, more in enumerate(wanted) for lr in more]
            found = study.run(course, [cells[number].case(study, lr, study.seed) for number, lr in asked])
            for (number, lr), one in zip(asked, found, strict=True):
                tried[number][lr] = one
            goals = self._goals(study, cells, tried, [study.seed])
            best = [self._best(study, cell, at_lr, goals) for cell, at_lr in zip(cells, tried, strict=True)]
            wanted = [_wider(at_lr, lr, cell.finer) for cell, at_lr, lr in zip(cells, tried, best, strict=True)]
        goals = self._goals(study, cells, tried, self._seeds(study))
        rows: list[Row] = []
        for cell, at_lr, chosen in zip(cells, tried, best, strict=True):
            others = [(lr, study.seed, one) for lr, one in at_lr.items() if lr != chosen]
            for lr, seed, one in [*others, *self._repeated(study, cell, chosen, self._seeds(study))]:
                goal, column = self._goal(study, cell, goals, seed)
                time = time_to(one["points"], goal, column)
                what = ("loss", "accuracy")[column - 1]
                rows.append(row_of(cell, cell.case(study, lr, seed), lr == chosen, (what, goal), time, one))
        return rows

    def _seeds(self, study: Study) -> list[int]:
        return list(range(study.seed, study.seed + (1 if study.scale == SMOKE else self.seeds)))

    def _repeated(self, study: Study, cell: Cell, lr: float, seeds: Sequence[int]) -> list[tuple[float, int, Course]]:
        """That cell with these seeds."""
        found = study.run(course, [cell.case(study, lr, seed) for seed in seeds])
        return [(lr, seed, one) for seed, one in zip(seeds, found, strict=True)]

    def _goals(
        self, study: Study, cells: Sequence[Cell], tried: Sequence[Mapping[float, Course]], seeds: Sequence[int]
    ) -> dict[tuple[str, int], float]:
        """(setting, seed) -> the accuracy to be reached, where the target is a reference method."""
        return {
            (cell.setting.name, seed): ending(one).accuracy - MARGIN
            for cell, at_lr in zip(cells, tried, strict=True)
            if cell.algorithm == self._target(cell)
            for _, seed, one in self._repeated(study, cell, most_accurate(at_lr), seeds)
        }

    def _target(self, cell: Cell) -> Target:
        return cell.setting.target or self.target

    def _goal(self, study: Study, cell: Cell, goals: Mapping[tuple[str, int], float], seed: int) -> tuple[float, int]:
        """What that cell is to reach with that seed, and the column of it in a course: loss 1, accuracy 2."""
        target = self._target(cell)
        if isinstance(target, str):
            return goals[cell.setting.name, seed], 2
        return target["tiny" if study.scale == SMOKE else study.scale], 1

    def _best(
        self, study: Study, cell: Cell, at_lr: Mapping[float, Course], goals: Mapping[tuple[str, int], float]
    ) -> float:
        return soonest(at_lr, *self._goal(study, cell, goals, study.seed))


def _wider(tried: Mapping[float, Any], best: float, finer: float) -> list[float]:
    """The learning rate beyond the best one, times `finer`, if none was tried there: 1, 3, 10, 30 ..."""
    step = (best == max(tried)) - (best == min(tried))
    if not step:
        return []
    half = round(2 * math.log10(best * finer)) + step
    return [float(f"{(1, 3)[half % 2]}e{half // 2}")]


def most_accurate(at_lr: Mapping[float, Course]) -> float:
    return max(at_lr, key=lambda lr: ending(at_lr[lr]).accuracy)


def soonest(at_lr: Mapping[float, Course], goal: float, column: int) -> float:
    """The learning rate that reaches the goal first; that of the lowest loss at the end if none does."""

    def order(lr: float) -> tuple[float, float]:
        time = time_to(at_lr[lr]["points"], goal, column)
        return (math.inf if time is None else time), ending(at_lr[lr]).loss

    return min(at_lr, key=order)


def row_of(
    cell: Cell, case: Mapping[str, Any], chosen: bool, goal: tuple[str, float], time: float | None, found: Course
) -> Row:
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
        "goal": goal[0],
        "target": goal[1],
        "time": time,
        "accuracy": end.accuracy or None,
        "loss": None if math.isinf(end.loss) else end.loss,
        **measured,
    }
