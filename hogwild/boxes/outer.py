"""A box as the worker of an algorithm: the texts of hogwild.algorithms run between boxes as they are.

What stands for a worker's gradient is what the workers of the box do in `between_period` updates. The buffers of the
text are a world of their own, with a worker per box, and its "replica" is a snapshot s of the box's model x:

    s <- snapshot of x                              the text's gradient is there
    the text goes on: s becomes s' (an exchange with a center, an average, ...)
    x <- x + (s' - s)                               when the text asks for its next gradient

So whatever the workers do meanwhile stays in x, and is part of the next exchange. A step of the text has been made
already: it only counts, and makes the exchange with a center that goes with it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from hogwild.algorithms.base import Algorithm, Gradients, Place
from hogwild.drivers.view.worker_view import WorkerView
from hogwild.rules import Access, Momentum
from hogwild.shared.world import World


def outer_world(module: nn.Module, algorithm: Algorithm, boxes: int, dtype: torch.dtype = torch.float32) -> World:
    """The world of the text: a worker per box, all with the model `module`."""
    world = World.create(module, algorithm.keeps(), boxes, dtype=dtype)
    for box in range(boxes):
        world.control.join(box, algorithm.barriers_per_round, 0.0)
    return world


class OuterView(WorkerView):
    """The view of box `box`. Its steps are those of the box: `step` counts one."""

    def __init__(self, world: World, box: int, algorithm: Algorithm, seed: int, clock: Callable[[], float]) -> None:
        super().__init__(
            world,
            box,
            algorithm.keeps(),
            access=Access.RACING,  # one process writes the buffers of the text
            barriers_per_round=algorithm.barriers_per_round,
            seed=seed,
            clock=clock,
        )
        self.step = self._step

    def _step(
        self,
        g: Gradients,  # noqa: ARG002
        *,
        rate: float = 1.0,  # noqa: ARG002
        momentum: Momentum | None = None,  # noqa: ARG002
        alpha: float = 0.0,
        center: Place = "x",
    ) -> None:
        """The step of the box, which its workers have made."""
        self.control.restore_steps(self.rank, self.steps + 1)
        if alpha:
            self.elastic(alpha, center=center)
