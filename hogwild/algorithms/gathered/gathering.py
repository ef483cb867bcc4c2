"""What the algorithms of Dutta et al. 2018 share: their options and buffers, and what K may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import (
    NOT_NEGATIVE,
    SHARED,
    SNAPSHOT,
    Algorithm,
    Buffer,
    dampening_option,
    momentum_option,
    option,
)
from hogwild.rules import HeavyBall


@dataclass(frozen=True)
class KGradients(Algorithm):
    """An update takes the mean of K gradients; the kinds differ in which gradients those are, and in what the other
    workers do then.
    """

    buffers: ClassVar[Mapping[str, Buffer]] = {"x": SHARED, "v": SHARED, "sum": SHARED, "snapshot": SNAPSHOT}
    numbers_pushes: ClassVar[bool] = True
    takes_one_each: ClassVar[bool] = False  # of the K gradients no two are one worker's, so K is at most N

    k: int = option(0, "K: gradients that make an update; 0: as many as workers", check=NOT_NEGATIVE)
    momentum: float = momentum_option(0.0, "momentum factor m of the shared buffer")
    dampening: float = dampening_option()

    def gradients_per_update(self, workers: int) -> int:
        if self.takes_one_each and self.k > workers:
            raise ValueError(f"k is {self.k} but there are {workers} workers: use a k of at most {workers}")
        return self.k or workers

    def rule(self) -> HeavyBall | None:
        return HeavyBall(self.momentum, self.dampening) if self.momentum else None
