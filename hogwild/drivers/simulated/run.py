"""A run of simulated workers: what a simulation under a virtual clock and a replay of a recorded schedule share.

The same algorithms, views and kernels as in worker processes, in one process. A subclass decides which worker is next
and what it waits for.

A gradient is that of the parameters at the time of its request. With a private snapshot these do not change before the
gradient is due, so it is computed only then and no gradient is held in memory.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from hogwild.algorithms.base import Barrier, Gradient, Gradients, Steps, Update
from hogwild.drivers.job.forward import Forward
from hogwild.drivers.job.job import Job
from hogwild.drivers.view.own_writes import OwnWrites
from hogwild.drivers.view.worker_view import WorkerView, view_of
from hogwild.shared.control import NO_TICKET, Ledger, Rounds, Tickets, Versions
from hogwild.shared.devices import to_device
from hogwild.shared.layout import trainable
from hogwild.shared.world import World

Request = Gradient | Barrier | Update


@dataclass
class SimulatedWorker:
    """One simulated worker: its generator of the algorithm, and the batch that it computes."""

    view: WorkerView
    steps: Steps
    at: Tensor | None = None  # where its next gradient is taken [n]
    parameters: list[Tensor] = field(default_factory=list)  # as views of it
    ready: float = 0.0  # when all that it has sent and read has arrived
    ticket: int = NO_TICKET
    samples: int = 0  # of its batch
    answer: tuple[float, Gradients] | None = None  # computed at the request, if what it depends on may change
    buffers: dict[str, Tensor] = field(default_factory=dict)  # the model's own after that, those of this worker alone
    at_barrier: bool = False
    at_update: bool = False
    cancels: bool = False  # a new version cancels its gradient
    within: float | None = None  # virtual time after which it gives its gradient up
    gives_up: bool = False  # the gradient takes longer than that
    request: int = 0  # number of the request that is in the heap


@dataclass(frozen=True)
class Push:
    """One completed request for a gradient. `loss`: of the batch, at the snapshot; NaN if it was given up."""

    time: float
    rank: int
    ticket: int
    loss: float
    given_up: bool = False


class SimulatedRun(ABC):
    """Simulated workers on one world. `advance` completes one request for a gradient; `now` is the virtual time."""

    def __init__(self, job: Job, world: World, module: nn.Module) -> None:
        self.job, self.world, self.module = job, world, module
        self.tickets: Tickets = world.control
        self.versions: Versions = world.control
        self.rounds: Rounds = world.control
        self.ledger: Ledger = world.control
        self.now = 0.0
        self.computed = 0  # gradients
        self.messages = self.moved_bytes = 0  # between the workers and the shared memory
        self.doubts: list[str] = []  # why it may not do what was asked for exactly, for the console
        self.forward = Forward(module, job.config, world.arena.device)
        self._parameters = trainable(module)
        self._own_writes = OwnWrites(module)
        self._has_buffers = any(True for _ in module.buffers())
        world.adopt(module, 0)
        module.train()
        self.workers = []
        for rank in range(world.workers):
            view = view_of(job, world, rank, self.time)
            self.workers.append(SimulatedWorker(view, job.algorithm.worker(view)))

    @abstractmethod
    def advance(self) -> Push | None:
        """Completes the request that is due next. None if there is none."""

    def time(self) -> float:
        """The virtual time, as an algorithm sees it."""
        return self.now

    def _answer(self, rank: int, *, given_up: bool) -> tuple[Push, Request]:
        """Gives the worker the gradient that it has requested, or none; returns its next request. The updates that it
        makes take no virtual time.
        """
        worker = self.workers[rank]
        ticket = worker.ticket
        worker.view.lr = self.job.schedule.lr(ticket)
        if given_up:
            worker.view.drop()
            return Push(self.now, rank, ticket, math.nan, given_up=True), worker.steps.send(None)
        loss, g = worker.answer or self._gradient(rank)
        worker.answer = None
        self.computed += 1
        request = worker.steps.send(g)
        outcome = worker.view.outcome
        if not (outcome.refused or outcome.cancelled):  # else the batch leaves no trace in them
            self._publish(rank)
        if not outcome.cancelled:  # else the ticket stays in hand
            self.ledger.record_loss(rank, loss, worker.samples)
            self.tickets.complete(rank)
        return Push(self.now, rank, ticket, loss), request

    def _publish(self, rank: int) -> None:
        """The model's own buffers, as they were after the worker's forward pass."""
        if not self._has_buffers:
            return
        for name, value in self.workers[rank].buffers.items():
            self.module.get_buffer(name).detach().copy_(value)
        self.world.publish(self.module, rank)

    def _ask(self, rank: int, request: Gradient) -> None:
        """Records the worker's request for its next gradient."""
        worker = self.workers[rank]
        worker.cancels, worker.within, worker.request = request.cancel, request.within, 0
        worker.at, worker.parameters = request.at, self.world.layout.views(request.at)

    def _gradient(self, rank: int) -> tuple[float, Gradients]:
        """Loss and gradients of the worker's batch at its parameters. Random numbers depend on the batch alone."""
        job, worker = self.job, self.workers[rank]
        assert worker.at is not None, "a gradient is computed once it is asked for"
        for parameter, view in zip(self._parameters, worker.parameters, strict=True):
            parameter.data = view
        if self._has_buffers:
            self.world.recall(self.module, rank)
        self._own_writes.begin(worker.view, worker.at)
        index = job.order.begin(worker.ticket, rank, self.tickets.completed(rank))
        worker.samples = len(index)
        batch = job.data.train.batch(index, train=True)
        inputs, targets = to_device(batch, self.world.arena.device, self.world.layout.dtype)
        loss = job.data.loss(self.forward(inputs), targets)
        torch.autograd.backward(loss)
        self._own_writes.check()
        gradients = [parameter.grad for parameter in self._parameters]
        for parameter in self._parameters:
            parameter.grad = None
        return float(loss.detach()), gradients
