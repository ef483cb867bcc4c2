"""When a box begins an exchange, and with whom: the same for couriers and for the simulator."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

from hogwild.shared.seeds import mixed

T = TypeVar("T")


class Pacing:
    """Box `box` begins an exchange whenever its model has seen `period` more updates. Periods that pass during an
    exchange are dropped, never made up for. `due`: the version at which the next one begins.
    """

    def __init__(self, period: int, seed: int, box: int, version: int) -> None:
        self.period = period
        self.due = version + period
        self._random = random.Random(mixed(seed, box))

    def draw(self, others: Sequence[T]) -> T:
        """One of the boxes that can be reached, uniformly at random (AD-PSGD on the complete graph)."""
        return self._random.choice(others)

    def end(self, version: int) -> int:
        """The exchange that was due has been done or refused; returns the number of periods that passed meanwhile."""
        passed = (version - self.due) // self.period
        self.due += (1 + passed) * self.period
        return passed
