"""One worker's model and its generator of the algorithm, advanced one gradient at a time."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from hogwild.algorithms.base import Algorithm, Barrier, Gradient, Gradients, Update
from hogwild.drivers.instruments.recording import TakeTurn
from hogwild.drivers.instruments.trace import BEGIN, GRADIENT, UPDATE
from hogwild.drivers.job.tables import require_dense
from hogwild.drivers.view.own_writes import OwnWrites
from hogwild.drivers.view.tables import Lookups
from hogwild.drivers.view.worker_view import WorkerView
from hogwild.errors import UsageError
from hogwild.shared.layout import trainable

WATCHED = 8
"""The row delays of one batch in so many are measured: to watch a lookup takes as long as to make it."""


class Stepper:
    """Runs an algorithm's generator on a module with its parameters in the buffer that the algorithm names.

    `wait` is called with every request that is not a gradient, and returns when it is fulfilled. What the generator
    does between two requests is one `turn`. It can be restarted at any time: its state is in its buffers.
    """

    def __init__(
        self,
        algorithm: Algorithm,
        view: WorkerView,
        module: nn.Module,
        wait: Callable[[Barrier | Update], None],
        turn: TakeTurn,
    ) -> None:
        self.algorithm = algorithm
        self.view = view
        self.module = module
        self.wait = wait
        self.turn = turn
        self._parameters = trainable(module)
        self.own_writes = OwnWrites(module)
        self._lookups = Lookups(module, view.world, every=WATCHED)
        self._is_first = True
        self.backward: Callable[[Tensor], None] = torch.autograd.backward
        self._at: Tensor | None = None  # buffer that holds the parameters
        self.bound = 0  # its address
        self.within: float | None = None  # limit on the time of the requested gradient, in seconds

    def begin(self) -> None:
        """Starts a new generator and runs it up to its first request for a gradient."""
        self._steps = self.algorithm.worker(self.view)
        with self.turn(BEGIN):
            request = next(self._steps)
        self._serve(request)

    def gradients(self, loss: Tensor | None) -> Gradients:
        """Backward of a scalar loss; None: the caller's own backward has been, UsageError if not. Returns autograd's
        dense gradients, not copied, added to those of earlier parts of the batch that are in the parameters; those of
        tables go to the view.
        """
        if loss is None or not loss.requires_grad:  # perhaps because all parameters have been frozen meanwhile
            self.own_writes.check()
        if loss is not None:
            self.backward(loss)
        gradients = [parameter.grad for parameter in self._parameters]
        if loss is None and all(g is None for g in gradients) and not self._lookups.has_gradients():
            raise UsageError("worker.step() without a loss takes the gradients of loss.backward(), and there are none")
        for parameter in self._parameters:
            parameter.grad = None
        if self._is_first:
            require_dense(self.module, gradients, self._parameters)
            self._is_first = False
        self._lookups.take(self.view.updates.tables)
        return gradients

    def forget(self) -> None:
        """Drops gradients of parts of a batch that are in the parameters."""
        for parameter in self._parameters:
            parameter.grad = None
        self._lookups.drop()

    def advance(self, g: Gradients | None) -> None:
        """Sends the gradient (None if it was given up) to the generator and runs it up to the next request."""
        with self.turn(GRADIENT):
            if g is None:
                self.view.drop()
            request = self._steps.send(g)
        self._serve(request)

    def _serve(self, request: Gradient | Barrier | Update) -> None:
        while not isinstance(request, Gradient):
            self.wait(request)
            with self.turn(UPDATE):
                request = self._steps.send(None)
        self.within = request.within
        self._lookups.begin()
        if request.at is not self._at:
            self._bind(request.at)
        self.own_writes.begin()

    def _bind(self, at: Tensor) -> None:
        self._at = at
        if at.data_ptr() != self.bound:
            self.view.world.layout.bind(self.module, at)
            self.bound = at.data_ptr()
            self.own_writes.bound(self.view, at)
