"""Averages of simulated pairs of boxes, as in couriers (hogwild.boxes.exchange)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hogwild.boxes.simulated_box import Between, SimulatedBox
from hogwild.boxes.wire import WIRES
from hogwild.config import Config
from hogwild.kernels import weighted_sum


class Pairs(Between):
    """An exchange of a box that is due is with a random other one, and skipped if that is in another exchange."""

    def __init__(self, boxes: Sequence[SimulatedBox], config: Config) -> None:
        super().__init__(boxes, config)
        self._wire = WIRES[config.between_wire](boxes[0].x.numel())
        self._known: dict[tuple[int, int], Tensor] = {}  # what box j has decoded of box i

    def begin(self, i: int, now: float) -> None:
        box = self.boxes[i]
        j = box.pacing.draw([k for k in range(len(self.boxes)) if k != i])
        if self.boxes[j].is_busy:
            self.refused += 1
            self.late += box.pacing.end(box.version)
            return
        packet = self._snapshot(i, j)
        self._snapshot(j, i)
        flux = torch.empty_like(box.x)
        weighted_sum(flux, [self._known[j, i], self._known[i, j]], [0.5, -0.5])
        size = packet.numel() * packet.element_size()
        self.messages += 2
        self.moved_bytes += 2 * size
        box.is_busy = self.boxes[j].is_busy = True
        self._send(now, 1, size, i, j, flux)

    def _snapshot(self, i: int, j: int) -> Tensor:
        """Takes the snapshot that box i sends to box j, as box j decodes it; returns the packet."""
        known = self._known.setdefault((i, j), torch.zeros_like(self.boxes[i].x))
        return self._wire.encode(self.boxes[i].x, known)
