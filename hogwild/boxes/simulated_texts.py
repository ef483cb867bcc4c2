"""Algorithms with a center, and rounds, between simulated boxes: their texts, with a box as the worker.

The messages of an exchange are charged at its end: the flux arrives when they all have travelled, one after the other,
as each part of the text needs the one before it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hogwild.algorithms.base import Algorithm, Barrier, Gradient, Update
from hogwild.boxes.outer import OuterView
from hogwild.boxes.simulated_box import Between, SimulatedBox
from hogwild.config import Config
from hogwild.shared.control import Rounds
from hogwild.shared.world import World


class Texts(Between):
    """`world`: that of the text (hogwild.boxes.outer). At a barrier a box waits for all that have work; its workers go
    on, unless --between-wait is crew.
    """

    def __init__(self, boxes: Sequence[SimulatedBox], config: Config, algorithm: Algorithm, world: World) -> None:
        super().__init__(boxes, config)
        self.holds = config.between_wait == "crew"
        self._rounds: Rounds = world.control
        self._at_barrier = [False] * len(boxes)
        self.views = [OuterView(world, b, algorithm, config.seed, lambda: self.now) for b in range(len(boxes))]
        self.texts = [algorithm.worker(view) for view in self.views]
        for view, text in zip(self.views, self.texts, strict=True):
            assert isinstance(next(text), Gradient), "a text first asks for a gradient"
            view.buffers.traffic.take()
        self._before = [torch.zeros_like(box.x) for box in boxes]

    def begin(self, i: int, now: float) -> None:
        self.now = max(self.now, now)
        self.boxes[i].is_busy = True
        self.views[i].replica.copy_(self.boxes[i].x)
        self._before[i].copy_(self.boxes[i].x)
        self._serve(i, self.texts[i].send([]))

    def leave(self, i: int, now: float) -> None:
        super().leave(i, now)
        self.now = max(self.now, now)
        self._rounds.leave(i)
        self._open()

    def _serve(self, i: int, request: Gradient | Barrier | Update) -> None:
        if isinstance(request, Barrier):
            self._rounds.arrive(i)
            self._at_barrier[i] = True
            self._open()
            return
        traffic = self.views[i].buffers.traffic.take()
        self.messages += traffic.messages
        self.moved_bytes += traffic.moved_bytes
        flux: Tensor = self.views[i].replica - self._before[i]
        self._send(self.now, traffic.messages, traffic.moved_bytes, i, None, flux)

    def _open(self) -> None:
        """The boxes at a barrier go on, in their order, once all that have work have come."""
        working = [b for b, box in enumerate(self.boxes) if not box.has_left]
        reached = min((self._rounds.arrived(b) for b in working), default=0)
        free = [b for b in working if self._at_barrier[b] and self._rounds.arrived(b) <= reached]
        for b in free:
            self._at_barrier[b] = False
            self.views[b].rounds.generation = self._rounds.arrived(b)
        for b, request in [(b, self.texts[b].send(None)) for b in free]:
            self._serve(b, request)
