"""When a box begins an exchange, and with whom: the same for couriers and for the simulator."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import TypeVar

from hogwild.shared.seeds import mixed

PAUSES_S = (0.002, 0.05)  # the shortest and the longest pause
T = TypeVar("T")


class Pacing:
    """Box `box` begins an exchange whenever its model has seen `period` more updates. Periods that pass during an
    exchange are dropped, never made up for. `due`: the version at which the next one begins.
    """

    def __init__(self, period: int, seed: int, box: int, version: int) -> None:
        self.period = period
        self.due = version + period
        self._random = random.Random(mixed(seed, box))
        self._seen = version, math.inf  # the last version, and when it was first seen: not yet
        self._takes = 0.0  # seconds for an update; 0: not known yet

    def pause(self, version: int, now: float) -> float:
        """How long to look away, in seconds: half the time until the next exchange is due, if updates go on as they did
        before; within PAUSES_S. `now`: in seconds.
        """
        if version > self._seen[0]:
            self._takes = max(now - self._seen[1], 0.0) / (version - self._seen[0])
            self._seen = version, now
        left = (self.due - version) * self._takes - (now - self._seen[1]) if self._takes else 0.0
        return min(max(left / 2, PAUSES_S[0]), PAUSES_S[1])

    def draw(self, others: Sequence[T]) -> T:
        """One of the boxes that can be reached, uniformly at random (AD-PSGD on the complete graph)."""
        return self._random.choice(others)

    def end(self, version: int) -> int:
        """The exchange that was due has been done or refused; returns the number of periods that passed meanwhile."""
        passed = (version - self.due) // self.period
        self.due += (1 + passed) * self.period
        return passed
