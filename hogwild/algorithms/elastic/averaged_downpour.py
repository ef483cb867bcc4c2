"""ADOWNPOUR, MVADOWNPOUR: DOWNPOUR with an average of the center over time as its result.

    as downpour, and after the t-th exchange of all workers together:   z <- (1 - a) z + a x;   z is the result
    adownpour: a = 1 / (t + 1), so z is the mean of the t + 1 centers so far.   mvadownpour: a is constant.

t counts exchanges, whichever worker makes them: one that starts late or starts again only reads x, and hands in nothing
until its next period is over.

Source: Zhang, Choromanska and LeCun 2015 (arXiv:1412.6651); its constant is 0.001.
Deviates: z is updated by one worker at a time; x may move meanwhile. Weight decay is in the workers' steps, as in
downpour; z has none of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import Buffer, View, option
from hogwild.algorithms.elastic.downpour import Downpour
from hogwild.algorithms.elastic.options import AVERAGES, average

RATE = (lambda value: 0 < value <= 1, "a number, 0 < number <= 1")


@dataclass(frozen=True)
class AveragedDownpour(Downpour):
    """DOWNPOUR with the mean of all centers as the result."""

    name: ClassVar[str] = "adownpour"
    summary: ClassVar[str] = "downpour, its result the mean of all centers"
    buffers: ClassVar[Mapping[str, Buffer]] = {**Downpour.buffers, **AVERAGES}

    def result(self) -> str:
        return "average"

    def delivered(self, w: View) -> None:
        average(w, self.rate())

    def rate(self) -> float:
        return 0.0


@dataclass(frozen=True)
class MovingAverageDownpour(AveragedDownpour):
    """DOWNPOUR with a moving average of the center as the result."""

    name: ClassVar[str] = "mvadownpour"
    summary: ClassVar[str] = "downpour, its result a moving average of the center"

    average_rate: float = option(0.001, "rate of the moving average of the center", check=RATE)

    def rate(self) -> float:
        return self.average_rate
