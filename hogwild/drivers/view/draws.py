"""A worker's own random choices, the same in every run of a seed."""

from __future__ import annotations

from hogwild.drivers.view.buffers import Buffers
from hogwild.drivers.view.updates import Updates
from hogwild.shared.seeds import draw


class Draws:
    """`draw` and `draw_block` of hogwild.algorithms.base.View: functions of seed, rank and step."""

    def __init__(self, buffers: Buffers, updates: Updates, seed: int) -> None:
        self._seed = seed
        self._rank = buffers.rank
        self._layout = buffers.world.layout
        self._updates = updates

    def draw(self, count: int) -> int:
        return draw(self._seed, self._rank, self._updates.steps, count)

    def draw_block(self, size: int) -> tuple[int, int]:
        """The elements [start, stop) of a run of `size` parameters, cut at the end of its tensor."""
        drawn = self.draw(self._layout.parameters)
        for offset, numel in self._layout.segments:
            if drawn < numel:
                start = drawn // size * size
                return offset + start, offset + min(start + size, numel)
            drawn -= numel
        raise AssertionError("every element number lies in one of the tensors")
