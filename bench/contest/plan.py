"""Which runs, in which order: learning rates first, then repeats, in which all methods take turns."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from bench.contest import rivals
from bench.contest.methods import Method, methods
from bench.contest.ours import Trial
from bench.contest.tasks import BATCH_SIZE, SITUATIONS, TASKS, Task

TRIAL_STEPS = 200
FURTHER = 2  # learning rates beyond a task's list that a method may try
TUNED, RUN = "tuning", "run"


@dataclass(frozen=True)
class Size:
    """How much is run. `part`: of a task's epochs; `tuning`: of that, to choose a learning rate; `repeats` with all
    workers alike, `slow_repeats` in each other situation; `test`: samples of the test set; `takes`: about so long, for
    the help text. `methods`: their names; none: all.
    """

    tasks: Sequence[str]
    part: float
    tuning: float
    repeats: int
    slow_repeats: int
    test: int
    copies: int
    takes: str
    methods: Sequence[str] = ()

    def entrants(self, task: Task) -> dict[str, Method]:
        """Those that take part in that task."""
        known = methods(task.rule)
        return {name: method for name, method in known.items() if not self.methods or name in self.methods}


SIZES = {
    "quick": Size(("digits",), 0.5, 0.2, 1, 1, 100, 4, "about 1 min"),
    "small": Size(("mlp", "lenet"), 0.5, 0.5, 3, 1, 2000, 12, "about 45 min"),
    "full": Size(("mlp", "lenet", "resnet20", "charlm"), 1, 0.5, 5, 3, 10_000, 24, "several hours"),
}


@dataclass(frozen=True)
class Row:
    """One run. `to_target_s`: seconds of training until the task's accuracy was reached; None: never."""

    task: str
    method: str
    is_ours: bool
    situation: str
    kind: str
    lr: float
    seed: int
    accuracy: float
    to_target_s: float | None
    samples_per_s: float


def contest(size: Size, tell: Callable[[str], object]) -> list[Row]:
    """All runs of that size. `tell` is called with a line about each."""
    return [row for name in size.tasks for row in _of_task(name, TASKS[name], size, tell)]


def _of_task(name: str, task: Task, size: Size, tell: Callable[[str], object]) -> list[Row]:
    if not (entrants := size.entrants(task)):
        return []
    plain = task.load("healthy", 0.0)
    samples = max(round(task.epochs * size.part * len(plain.train)), size.copies * BATCH_SIZE)
    first = rivals.alone(Trial(task, plain, task.lrs[0], 0, TRIAL_STEPS * BATCH_SIZE, 1))
    step_s = first.seconds / TRIAL_STEPS
    data = {situation: task.load(situation, step_s) for situation in SITUATIONS}
    model = task.build(plain, 0)

    def run(method: str, situation: str, kind: str, lr: float, seed: int) -> Row:
        length = round(samples * (size.tuning if kind == TUNED else 1))
        course = entrants[method].run(Trial(task, data[situation], lr, seed, length, size.copies))
        scores = course.scores(model, plain, size.test)
        to_target = reached(scores, task.target)
        row = Row(
            name, method, entrants[method].is_ours, situation, kind, lr, seed, scores[-1][2], to_target,
            course.samples / course.seconds,
        )  # fmt: skip
        tell(
            f"{time.strftime('%H:%M:%S')} {name}, {situation}, {method}, lr {lr:g}, seed {seed}: accuracy "
            f"{row.accuracy:.3f}, {row.samples_per_s:,.0f} samples/s, {task.target:g} "
            + (f"after {to_target:.2f} s" if to_target is not None else "not reached")
        )
        return row

    tried = tune(lambda method, lr: run(method, "healthy", TUNED, lr, 0), entrants, task.lrs)
    rows = [row for found in tried.values() for row in found]
    for repeat in range(size.repeats):
        for situation in SITUATIONS:
            if situation != "healthy" and repeat >= size.slow_repeats:
                continue
            for method, entrant in entrants.items():
                if situation == "healthy" or entrant.slows:
                    rows.append(run(method, situation, RUN, best(tried[method]).lr, repeat + 1))
    return rows


def tune(run: Callable[[str, float], Row], names: Iterable[str], listed: Sequence[float]) -> dict[str, list[Row]]:
    """The rows of each method, by `run` of its name and a learning rate. The methods take turns."""
    tried: dict[str, list[Row]] = {name: [] for name in names}
    while wanted := {name: lr for name, rows in tried.items() if (lr := next_lr(rows, listed)) is not None}:
        for name, lr in wanted.items():
            tried[name].append(run(name, lr))
    return tried


def next_lr(tried: Sequence[Row], listed: Sequence[float]) -> float | None:
    """What a method tries after those rows: the list, then, while its best rate is an end of those tried, one beyond
    that end, FURTHER at most. None: nothing more.
    """
    if len(tried) < len(listed):
        return listed[len(tried)]
    if len(tried) == len(listed) + FURTHER or not (end := mark(tried)):
        return None
    return best(tried).lr * (0.5 if end == "<" else 2.0)


def best(tried: Iterable[Row]) -> Row:
    """The most accurate, of equal ones that of the least rate; NaN, of a run that diverged, is below all others."""
    return max(tried, key=lambda row: (-math.inf if math.isnan(row.accuracy) else row.accuracy, -row.lr))


def mark(tried: Sequence[Row]) -> str:
    """Where the best rate is an end of those tried: `<` the least, `>` the greatest."""
    lr, lrs = best(tried).lr, [row.lr for row in tried]
    return "<" if lr == min(lrs) else ">" if lr == max(lrs) else ""


def reached(scores: Sequence[tuple[float, int, float]], target: float) -> float | None:
    """When the accuracy first came to `target`, linear between two copies; None: never."""
    before_s, before = 0.0, 0.0
    for seconds, _, accuracy in scores:
        if accuracy >= target:
            return before_s + (seconds - before_s) * (target - before) / (accuracy - before)
        before_s, before = seconds, accuracy
    return None


def median(values: Sequence[float | None]) -> float | None:
    """Of the values, those that are None above all others; None if that is the median."""
    ordered = sorted(values, key=lambda value: (value is None, value or 0.0))
    middle = ordered[(len(ordered) - 1) // 2 : len(ordered) // 2 + 1]
    known = [value for value in middle if value is not None]
    return statistics.mean(known) if len(known) == len(middle) else None
