"""Fragments of a model that are averaged in turn: how many, which one when, and when it is back."""

from __future__ import annotations

from dataclasses import dataclass

from hogwild.algorithms.base import NOT_NEGATIVE, option
from hogwild.algorithms.elastic.local_steps import LocalSteps
from hogwild.algorithms.elastic.options import AT_LEAST_ONE, period_option


@dataclass(frozen=True)
class Fragmented(LocalSteps):
    """An algorithm that averages one fragment at a time. ValueError if one is due before the last one is back."""

    period: int = period_option(50, "own steps H between two averages of a fragment")
    fragments: int = option(4, "P: parts of the model that are averaged in turn", check=AT_LEAST_ONE)
    overlap: int = option(1, "own steps after which a fragment's average is applied", check=NOT_NEGATIVE)

    def __post_init__(self) -> None:
        super().__post_init__()
        every = self.period // self.fragments
        if not self.overlap < every:
            raise ValueError(
                f"overlap is {self.overlap}, and one of {self.fragments} fragments is due every {every} steps: use a "
                "shorter one, fewer fragments or a longer period"
            )

    def due(self, step: int) -> int | None:
        """The fragment p that is sent after that step: H divides step + floor(p H / P)."""
        offsets = (step + p * self.period // self.fragments for p in range(self.fragments))
        return next((p for p, at in enumerate(offsets) if step > 0 and at % self.period == 0), None)
