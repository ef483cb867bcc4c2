"""The view of a text in a courier: its exchanges with a center are calls of the owners of its parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from hogwild.algorithms.base import Algorithm, Place, View
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

    def _elastic(self, alpha: float, near: Place = "replica", center: Place = "x") -> None:  # noqa: ARG002
        """replica <- replica - alpha (replica - c), where c is the center before this exchange."""
        sent = self.replica.clone()
        reached = self._call(sent, elastic(alpha))
        moved = torch.empty_like(sent)
        weighted_sum(moved, [self._room, sent], [1 - alpha, alpha])
        for start, stop in reached:
            weighted_sum(self.replica, [sent, self._room], [1 - alpha, alpha], start=start, stop=stop)
        self._owned.note(moved)

    def _deliver(self) -> None:
        sent = torch.empty_like(self.x)
        weighted_sum(sent, [self.replica, self.buffer("base")], [1.0, -1.0])
        reached = self._call(sent, deliver)
        for start, stop in reached:
            for name in ("replica", "base"):
                copy(self.buffer(name)[start:stop], self._room[start:stop])
        self._owned.note(self._room)

    def submit(self, name: str, step: Callable[[View], None]) -> None:
        self.answered = self._call(self.buffer(name).clone(), submit(name, step))
        self._owned.note(self._room)

    @property
    def _owned(self) -> Owners:
        assert self.owners is not None, "an algorithm with a center has owners"
        return self.owners

    def _call(self, sent: Tensor, step: OwnerStep) -> list[Part]:
        if self.owners is None:
            raise Asked(step)
        return self._owned.exchange(sent, self._room)


OwnerStep = Callable[[CourierView, Part, Tensor, Tensor], None]
"""What an owner does: the view of the box that calls, the part, what it has sent, and room for the answer."""


class Asked(Exception):
    """The text asks the owners for this step, and the view has no owners."""

    def __init__(self, step: OwnerStep) -> None:
        super().__init__("a view without owners")
        self.step = step


def elastic(alpha: float) -> OwnerStep:
    """c <- c + alpha (s - c). Answers c as it was."""

    def step(view: CourierView, part: Part, values: Tensor, answer: Tensor) -> None:
        center = view.x[slice(*part)]
        copy(answer, center)
        weighted_sum(center, [answer, values], [1 - alpha, alpha])

    return step


def deliver(view: CourierView, part: Part, values: Tensor, answer: Tensor) -> None:
    """c <- c + what was sent. Answers c."""
    center = view.x[slice(*part)]
    weighted_sum(center, [center, values], [1.0, 1.0])
    copy(answer, center)


def submit(name: str, outer: Callable[[View], None]) -> OwnerStep:
    """`outer` with the buffer `name` that was sent, on that part. Answers x."""

    def step(view: CourierView, part: Part, values: Tensor, answer: Tensor) -> None:
        view.answered = [part]
        copy(view.buffer(name)[slice(*part)], values)
        outer(view)
        copy(answer, view.x[slice(*part)])

    return step


def asked_of_owners(algorithm: Algorithm, view: CourierView) -> OwnerStep:
    """The step of the center: found by letting the text make an exchange on a view without owners. Mutates buffers of
    the box of `view` that a text writes before it reads them.
    """
    steps = view.steps
    text = algorithm.worker(view)
    try:
        next(text)
        text.send([])
    except Asked as asked:
        return asked.step
    finally:
        view.control.restore_steps(view.rank, steps)
    raise ValueError(f"{algorithm.name} makes no exchange with a center after a step")
