"""Pushes gradients while the backward pass still computes others (--layer-pushes)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from hogwild.drivers.processes.stepper import Stepper
from hogwild.drivers.view.layers import LEAST
from hogwild.shared.layout import trainable


class LayerHooks:
    """A hook on every parameter of a worker's module. `enter` enters the gate, which stays so until the update ends.

    A parameter whose gradient is pushed has none left in `grad`; the algorithm pushes the others. A gradient that may
    be given up is pushed whole.
    """

    def __init__(self, stepper: Stepper, enter: Callable[[], None]) -> None:
        self._stepper, self._enter = stepper, enter
        self._layers = stepper.view.layers
        self._parameters = trainable(stepper.module)
        self._is_active = False
        self._left = 0  # elements whose gradients are still to come
        self._waiting: list[int] = []
        for place, parameter in enumerate(self._parameters):
            parameter.register_post_accumulate_grad_hook(partial(self._take, place))  # type: ignore[no-untyped-call]

    def backward(self, loss: Tensor) -> None:
        """The backward pass of the last part of a batch."""
        self._left, self._waiting = sum(parameter.numel() for parameter in self._parameters), []
        self._is_active = self._layers.knows_rule and self._stepper.within is None
        try:
            torch.autograd.backward(loss)
        finally:
            self._is_active = False

    def _take(self, place: int, parameter: Tensor) -> None:
        if not self._is_active:
            return
        self._left -= parameter.numel()
        self._waiting.append(place)
        if self._left and sum(self._parameters[one].numel() for one in self._waiting) >= LEAST:
            self._push()

    def _push(self) -> None:
        self._enter()
        found = {place: g for place in self._waiting if (g := self._parameters[place].grad) is not None}
        if self._layers.push(found):
            for place in found:
                self._parameters[place].grad = None
        self._waiting = []
