"""The view of a text in a courier: its exchanges with a center are calls of the owners of its parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from hogwild.algorithms.base import Algorithm, Place, View
from hogwild.algorithms.elastic.async_diloco import AsyncDiLoCo
from hogwild.algorithms.elastic.easgd import ElasticAveraging
from hogwild.algorithms.elastic.options import moving_rate
from hogwild.boxes.outer import OuterView
from hogwild.boxes.owners import Owners, Part
from hogwild.kernels import copy, weighted_sum
from hogwild.shared.world import World


class CourierView(OuterView):
    """The view of a box whose center is owned in parts. What the text does after a call concerns the parts that were
    answered: the others stay as they are, and are part of the next exchange.
    """

    def __init__(self, world: World, box: int, algorithm: Algorithm, seed: int, clock: Callable[[], float]) -> None:
        super().__init__(world, box, algorithm, seed, clock)
        self.owners: Owners | None = None
        self.answered: list[Part] | None = None
        self._room = torch.zeros_like(self.x)
        self._algorithm = algorithm
        whole = self.rounds.combine

        def combine(
            to: Place, terms: Mapping[Place, float], *, share: bool = False, part: tuple[int, int] | None = None
        ) -> None:
            if self.answered is None or share or part is not None:
                whole(to, terms, share=share, part=part)
            else:
                for answered in self.answered:
                    whole(to, terms, part=answered)

        self.combine = combine
        self.adopt = lambda: combine("replica", {"x": 1})
        self.elastic = self._elastic
        self.deliver = self._deliver

    # ---- the worker's side ----------------------------------------------------------------------------------------

    def _elastic(self, alpha: float, near: Place = "replica", center: Place = "x") -> None:  # noqa: ARG002
        """replica <- replica - alpha (replica - c), where c is the center before this exchange."""
        sent = self.replica.clone()
        reached = self._call(sent)
        moved = torch.empty_like(sent)
        weighted_sum(moved, [self._room, sent], [1 - alpha, alpha])
        for start, stop in reached:
            weighted_sum(self.replica, [sent, self._room], [1 - alpha, alpha], start=start, stop=stop)
        self._owned.note(moved)

    def _deliver(self) -> None:
        sent = torch.empty_like(self.x)
        weighted_sum(sent, [self.replica, self.buffer("base")], [1.0, -1.0])
        reached = self._call(sent)
        for start, stop in reached:
            for name in ("replica", "base"):
                copy(self.buffer(name)[start:stop], self._room[start:stop])
        self._owned.note(self._room)

    def submit(self, name: str, step: Callable[[View], None]) -> None:  # noqa: ARG002
        self.answered = self._call(self.buffer(name).clone())
        self._owned.note(self._room)

    @property
    def _owned(self) -> Owners:
        assert self.owners is not None, "an algorithm with a center has owners"
        return self.owners

    def _call(self, sent: Tensor) -> list[Part]:
        return self._owned.exchange(sent, self._room)

    # ---- the owner's side -----------------------------------------------------------------------------------------

    def step_of_owner(self, part: Part, values: Tensor, answer: Tensor) -> None:
        """The step of the center with a part of what this box has sent, and the answer."""
        algorithm, center = self._algorithm, self.x[slice(*part)]
        if isinstance(algorithm, ElasticAveraging):
            rate = moving_rate(algorithm.alpha, algorithm.beta, algorithm.beta_per, algorithm.period, self.workers)
            copy(answer, center)
            weighted_sum(center, [answer, values], [1 - rate, rate])
            return
        if isinstance(algorithm, AsyncDiLoCo):
            self.answered = [part]
            copy(self.buffer("delta")[slice(*part)], values)
            algorithm.outer(self)
        else:
            weighted_sum(center, [center, values], [1.0, 1.0])
        copy(answer, center)
