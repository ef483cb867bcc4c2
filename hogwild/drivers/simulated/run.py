"""A run of simulated workers: what a simulation under a virtual clock and a replay of a recorded schedule share.

The same algorithms, views and kernels as in worker processes, in one process. A subclass decides which worker is next
and what it waits for.

A gradient is that of the parameters at the time of its request. With a private snapshot these do not change before the
gradient is due, so it is computed only then and no gradient is held in memory. Tables are read in place: with them it
is computed at the request.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import nn

from hogwild.algorithms.base import Gradient, Gradients
from hogwild.drivers.job.forward import Forward
from hogwild.drivers.job.job import Job
from hogwild.drivers.job.model import smallest_batch
from hogwild.drivers.job.samples import BadSample, Reader
from hogwild.drivers.job.tables import require_dense
from hogwild.drivers.simulated.workers import Push, Request, SimulatedWorker
from hogwild.drivers.view.own_writes import OwnWrites
from hogwild.drivers.view.tables import Lookups
from hogwild.drivers.view.worker_view import view_of
from hogwild.kernels.control import Phase
from hogwild.shared.control import Ledger, Rounds, Tickets, Versions
from hogwild.shared.devices import to_device
from hogwild.shared.layout import trainable
from hogwild.shared.own_buffers import OwnBuffers
from hogwild.shared.timeline import Timeline
from hogwild.shared.world import World


class SimulatedRun(ABC):
    """Simulated workers on one world. `advance` completes one request for a gradient; `now` is the virtual time.

    `on_bad` is called with the samples of a batch that cannot be read, its ticket and its worker; it may raise
    DataError.
    """

    def __init__(
        self, job: Job, world: World, module: nn.Module, on_bad: Callable[[Sequence[BadSample], int, int], object]
    ) -> None:
        self.job, self.world, self.module = job, world, module
        self.tickets: Tickets = world.control
        self.versions: Versions = world.control
        self.rounds: Rounds = world.control
        self.ledger: Ledger = world.control
        self.timeline: Timeline = world.control
        self.now = 0.0
        self.computed = 0  # gradients
        self.messages = self.moved_bytes = 0  # between the workers and the shared memory
        self.doubts: list[str] = []  # why it may not do what was asked for exactly, for the console
        self.forward = Forward(module, job.config, world.arena.device)
        self._reader, self._on_bad = Reader(job.data.train, smallest_batch(module, job.config.batch_size)), on_bad
        self._parameters = trainable(module)
        self._own_writes = OwnWrites(module)
        self._has_buffers = any(True for _ in module.buffers())
        world.adopt(module, 0)
        self._own_buffers = OwnBuffers(world, module)
        self._lookups = Lookups(module, world)
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

    def _phase(self, rank: int, phase: Phase, at: float | None = None) -> None:
        """The worker is in that phase from virtual time `at` on; None: from now on."""
        self.timeline.set_phase_at(rank, phase, self._ns(at))

    def _ns(self, at: float | None = None) -> int:
        """Virtual time `at`, or now, in billionths of its unit."""
        return round((self.now if at is None else at) * 1e9)

    def _answer(self, rank: int, *, given_up: bool) -> tuple[Push, Request | None]:
        """Gives the worker the gradient that it has requested, or none; returns its next request. The updates that it
        makes take no virtual time. None in place of a request: nothing of the batch could be read, so its ticket is
        completed, and the worker's request stands.
        """
        worker = self.workers[rank]
        ticket = worker.ticket
        worker.view.lr = self.job.schedule.lr(self.tickets.number(ticket))
        self._phase(rank, Phase.UPDATE)
        if given_up:
            worker.view.drop()
            return Push(self.now, worker.pulled, rank, ticket, math.nan, given_up=True), worker.steps.send(None)
        self.tickets.claim(rank)  # nobody else has: the simulation has asked
        loss, g = worker.answer or self._gradient(rank)
        worker.answer = None
        if g is None:
            self._complete(rank)
            return Push(self.now, worker.pulled, rank, ticket, loss, given_up=True), None
        self.computed += 1
        pulled, request = worker.pulled, worker.steps.send(g)
        outcome = worker.view.outcome
        if not (outcome.refused or outcome.cancelled):  # else the batch leaves no trace in them
            self._publish(rank)
        if outcome.cancelled:
            self.tickets.disclaim(rank)
        else:
            self.ledger.record_loss(rank, loss, worker.samples)
            self._complete(rank)
        return Push(self.now, pulled, rank, ticket, loss), request

    def _complete(self, rank: int) -> None:
        self.tickets.complete(rank)
        self.workers[rank].completed += 1

    def _publish(self, rank: int) -> None:
        """The model's own buffers, as they were after the worker's forward pass."""
        if not self._has_buffers:
            return
        for name, value in self.workers[rank].buffers.items():
            self.module.get_buffer(name).detach().copy_(value)
        self._own_buffers.publish(rank)

    def _ask(self, rank: int, request: Gradient) -> None:
        """Records the worker's request for its next gradient."""
        worker = self.workers[rank]
        worker.cancels, worker.within, worker.request = request.cancel, request.within, 0
        if request.at is not worker.at:
            worker.at, worker.parameters = request.at, self.world.layout.views(request.at)
        worker.pulled = max(self.now, worker.ready)

    def _gradient(self, rank: int) -> tuple[float, Gradients | None]:
        """Loss and gradients of the worker's batch at its parameters; NaN and None if nothing of it can be read. Random
        numbers depend on the batch alone.
        """
        job, worker = self.job, self.workers[rank]
        assert worker.at is not None, "a gradient is computed once it is asked for"
        for parameter, view in zip(self._parameters, worker.parameters, strict=True):
            parameter.data = view
        if self._has_buffers:
            self._own_buffers.recall(rank)
        self._own_writes.bound(worker.view, worker.at)
        self._own_writes.begin()
        self._lookups.begin()
        number = self.tickets.number(worker.ticket)
        parts = self._reader.in_parts(job.order, number, rank, worker.completed, job.config.batch_size)
        samples = [len(part) for part in parts]
        worker.samples = sum(samples)
        if bad := tuple(sample for part in parts for sample in part.bad):
            self.tickets.claim(rank)  # so that they are counted once
            self._on_bad(bad, worker.ticket, rank)
        if not worker.samples:
            return math.nan, None
        mean = 0.0
        for part, size in zip(parts, samples, strict=True):
            inputs, targets = to_device((part.inputs, part.targets), self.world.arena.device, self.world.layout.dtype)
            if size:
                loss = self.forward.loss(job.data, inputs, targets)
                loss = loss * (size / worker.samples) if len(parts) > 1 else loss
                torch.autograd.backward(loss)
                mean += float(loss.detach())
        self._own_writes.check()
        gradients = [parameter.grad for parameter in self._parameters]
        for parameter in self._parameters:
            parameter.grad = None
        if not self.computed:
            require_dense(self.module, gradients, self._parameters)
        self._lookups.take(worker.view.updates.tables)
        return mean, gradients
