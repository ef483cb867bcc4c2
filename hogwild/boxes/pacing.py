"""When a box begins an exchange, and with whom: the same for couriers and for the simulator."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

from hogwild.shared.seeds import mixed

PAUSES_S = (0.002, 0.05)  # the shortest and the longest pause of a courier
T = TypeVar("T")


class Pause:
    """How long to look away from a counter until it comes to a value: half the time that this takes if it goes on as it
    did before; `shortest_s` to `longest_s` seconds.
    """

    def __init__(self, shortest_s: float, longest_s: float) -> None:
        self._shortest_s, self._longest_s = shortest_s, longest_s
        self._seen: tuple[int, float] | None = None  # the last count, and when it was first seen
        self._takes_s = 0.0  # for a count of one; 0: not known yet

    def until(self, value: int, count: int, now: float) -> float:
        """In seconds, as is `now`."""
        if self._seen is None or count > self._seen[0]:
            if self._seen is not None:
                self._takes_s = max(now - self._seen[1], 0.0) / (count - self._seen[0])
            self._seen = count, now
        left_s = (value - count) * self._takes_s - (now - self._seen[1]) if self._takes_s else 0.0
        return min(max(left_s / 2, self._shortest_s), self._longest_s)


class Pacing:
    """Box `box` begins an exchange whenever its model has seen `period` more updates. Periods that pass during an
    exchange are dropped, never made up for. `due`: the version at which the next one begins.
    """

    def __init__(self, period: int, seed: int, box: int, version: int) -> None:
        self.period = period
        self.due = version + period
        self._random = random.Random(mixed(seed, box))
        self._pause = Pause(*PAUSES_S)

    def pause(self, version: int, now: float) -> float:
        """How long to look away, in seconds, until the next exchange is due. `now`: in seconds."""
        return self._pause.until(self.due, version, now)

    def draw(self, others: Sequence[T]) -> T:
        """One of the boxes that can be reached, uniformly at random (AD-PSGD on the complete graph)."""
        return self._random.choice(others)

    def end(self, version: int) -> int:
        """The exchange that was due has been done or refused; returns the number of periods that passed meanwhile."""
        passed = (version - self.due) // self.period
        self.due += (1 + passed) * self.period
        return passed
