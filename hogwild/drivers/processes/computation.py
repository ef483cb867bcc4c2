"""Computes a worker's gradients: forward and backward pass, optionally as a CUDA graph; gives up gradients that take
too long.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hogwild.algorithms.base import Gradients
from hogwild.drivers.job.forward import Forward
from hogwild.drivers.job.job import Job
from hogwild.drivers.processes.graph import GraphedGradient
from hogwild.drivers.processes.stepper import Stepper
from hogwild.kernels.control import Phase
from hogwild.shared.control import Ledger
from hogwild.shared.devices import finish


class Computation:
    """Loss and gradients of a batch at the parameters that the algorithm asked for.

    `began` is always clock() at the start of work on the batch. `slowdown`: a straggler takes that many times as long.
    """

    def __init__(
        self,
        job: Job,
        module: nn.Module,
        device: torch.device,
        stepper: Stepper,
        clock: Callable[[], float],
        slowdown: float,
    ) -> None:
        self._job, self._module = job, module
        self._device = device
        self._stepper = stepper
        self._ledger: Ledger = stepper.view.world.control
        self._rank = stepper.view.rank
        self._clock = clock
        self._slowdown = slowdown
        self._forward = Forward(module, job.config, device)
        self._graph: GraphedGradient | None = None
        if job.config.cuda_graph:
            self._graph = GraphedGradient(self._evaluate, module, lambda: stepper.bound)

    def __call__(self, inputs: Any, targets: Any, began: float) -> tuple[Tensor, Gradients | None]:
        """Detached loss [] and gradients; None for gradients that took longer than Gradient.within."""
        if self._graph is None:
            loss = self._loss(inputs, targets)
            return loss.detach(), self.backward(loss, began)
        loss, g = self._graph(inputs, targets)
        return loss, None if self._is_late(began) else g

    def accumulated(self, parts: Sequence[tuple[Any, Any, int]], began: float) -> tuple[Tensor, Gradients | None]:
        """The same for a batch in parts (inputs, targets, samples): the mean over all samples, with the graph of one
        part at a time in memory.
        """
        total, mean = sum(samples for _, _, samples in parts), torch.zeros((), device=self._device)
        for number, (inputs, targets, samples) in enumerate(parts, 1):
            loss = self._loss(inputs, targets) * (samples / total)
            mean = mean + loss.detach()
            if number == len(parts):
                g = self.backward(loss, began)
                self._stepper.forget()
                return mean, g
            torch.autograd.backward(loss)
        raise ValueError("a batch has parts")

    def prepare(self, inputs: Any, targets: Any) -> None:
        """Computes the gradient of a full batch and drops it, before the run begins: this compiles the model and
        captures the CUDA graph.
        """
        before = [buffer.clone() for buffer in self._module.buffers()]
        (self._evaluate if self._graph is None else self._graph.prepare)(inputs, targets)
        for buffer, value in zip(self._module.buffers(), before, strict=True):
            buffer.copy_(value)

    @property
    def needs_preparing(self) -> bool:
        return self._job.config.compile or self._graph is not None

    def backward(self, loss: Tensor, began: float) -> Gradients | None:
        """The gradients; None if they took too long. The backward pass is skipped if the forward pass alone took too
        long.
        """
        if self._is_late(began):
            return None
        g = self._stepper.gradients(loss)
        return None if self._is_late(began) else g

    def let_go(self, g: Gradients | None) -> None:
        """Empties gradients that the algorithm has used, so that the next backward pass does not need memory beside
        them. Those of a CUDA graph lie in its memory, and stay.
        """
        if self._graph is None and isinstance(g, list):
            g.clear()

    def slow_down(self, began: float, given_up: bool) -> None:
        """Sleeps until a straggler would be done, or would give the gradient up."""
        if self._slowdown <= 1.0:
            return
        finish(self._device)
        self._ledger.set_phase(self._rank, Phase.SLEEP)
        spent_s = self._clock() - began
        total_s = spent_s * self._slowdown
        if given_up and self._stepper.within is not None:
            total_s = min(total_s, self._stepper.within)
        time.sleep(max(total_s - spent_s, 0.0))

    def _is_late(self, began: float) -> bool:
        if self._stepper.within is None:
            return False
        finish(self._device)
        return (self._clock() - began) * self._slowdown > self._stepper.within

    def _loss(self, inputs: Any, targets: Any) -> Tensor:
        return self._forward.loss(self._job.data, inputs, targets)

    def _evaluate(self, inputs: Any, targets: Any) -> tuple[Tensor, Gradients]:
        loss = self._loss(inputs, targets)
        return loss.detach(), self._stepper.gradients(loss)
