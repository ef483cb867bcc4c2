"""When the parent evaluates, saves and copies the model."""

from __future__ import annotations

import math
import operator
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from hogwild.config import Config

EVALUATION, CHECKPOINT = "evaluation", "checkpoint"
COUNTS = ("tickets", "updates")
"""The units that depend on nothing but the work that is done."""


class Progress(NamedTuple):
    """How far a run is: completed tickets, updates, and seconds since it began."""

    tickets: int
    updates: int
    seconds: float = 0.0


Intervals = Mapping[str, Sequence[tuple[str, float]]]


def intervals_of(config: Config, tickets_per_epoch: float, *, has_test: bool) -> dict[str, list[tuple[str, float]]]:
    """The evaluations and checkpoints of a run; `tickets_per_epoch` 0: it has no epochs. A simulated run has its one
    checkpoint at the end.
    """
    found = {}
    if has_test:
        every = config.eval_every * tickets_per_epoch, config.eval_updates, config.eval_seconds
        found[EVALUATION] = list(zip(Progress._fields, every, strict=True))
    if config.clock is None:
        every = config.ckpt_every * tickets_per_epoch, config.ckpt_updates, config.ckpt_seconds
        found[CHECKPOINT] = list(zip(Progress._fields, every, strict=True))
    return found


class Due:
    """Things that are due again and again, each at the multiples of its intervals.

    `intervals`: by the name of the thing, the unit and the length of each interval; of several, the next one counts.
    An interval of 0 never comes. The worker of a run of one computes the same numbers as the parent.
    """

    def __init__(self, intervals: Intervals, at: Progress) -> None:
        self._intervals = {name: [(unit, every) for unit, every in parts if every] for name, parts in intervals.items()}
        self._next: dict[str, list[float]] = {}
        self.least: tuple[float, ...] = ()  # in each unit, where the next thing is due
        self.plan(self._intervals, at)

    def now(self, at: Progress, units: Collection[str] = Progress._fields) -> list[str]:
        """The names of the things that are due, by intervals of these units."""
        if all(map(operator.lt, at, self.least)):
            return []
        return [
            name
            for name, parts in self._intervals.items()
            if any(
                unit in units and getattr(at, unit) >= due
                for (unit, _), due in zip(parts, self._next[name], strict=True)
            )
        ]

    def plan(self, names: Collection[str], at: Progress) -> None:
        """Makes them due next at the multiples after `at`."""
        for name in names:
            self._next[name] = [_after(getattr(at, unit), every) for unit, every in self._intervals[name]]
        least = dict.fromkeys(Progress._fields, math.inf)
        for name, parts in self._intervals.items():
            for (unit, _), due in zip(parts, self._next[name], strict=True):
                least[unit] = min(least[unit], due)
        self.least = tuple(least.values())


def _after(now: float, every: float) -> float:
    """The smallest multiple of `every` above `now`."""
    due = (now // every + 1) * every
    return due if due > now else due + every  # rounded down
