"""The worker process: takes a ticket, computes its gradient, lets the algorithm update the shared model, and repeats.

The parent imports this module in the fork server before any worker exists, so that a worker starts in a tenth of a
second.
"""

from __future__ import annotations

import math
import os
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hogwild.algorithms.base import Barrier, Gradients, Update
from hogwild.drivers.instruments.recording import Schedule
from hogwild.drivers.job.forward import Forward
from hogwild.drivers.job.job import Job
from hogwild.drivers.job.shared_split import restore
from hogwild.drivers.processes.context import WorkerContext
from hogwild.drivers.processes.graph import Evaluate, GraphedGradient
from hogwild.drivers.processes.handle import Handle
from hogwild.drivers.processes.stepper import Stepper
from hogwild.drivers.view.worker_view import WorkerView
from hogwild.errors import HogwildError
from hogwild.kernels.control import Phase
from hogwild.rules import Access, Guard
from hogwild.shared.control import NO_TICKET, Gate, Ledger, Rounds, Tickets, Versions
from hogwild.shared.device_memory import check_identity
from hogwild.shared.devices import Reading, finish, to_device
from hogwild.shared.seeds import seed_batch

POLL_S = 1.0  # how long one wait in C++ may last before Python looks at signals
MAX_REPORTS = 20  # of non-finite gradients, per worker: enough to act on


@dataclass(frozen=True)
class Pending:
    """An update that has not been recorded yet. On a GPU it may not even have begun."""

    loss: Reading
    samples: int
    ticket: int
    gradient_s: float
    update_s: float
    waiting_s: float


def main(payload: bytes, context: WorkerContext) -> None:
    """Entry point of a worker process. `payload` is Job.dumps()."""
    context.enter()
    try:
        Worker(Job.loads(payload), context).run()
    except HogwildError as error:
        context.events.send(("error", type(error).__name__, str(error)))
        sys.exit(1)
    except Exception as error:
        traceback.print_exc()
        context.events.send(("error", type(error).__name__, f"{type(error).__name__}: {error}"))
        sys.exit(1)


class Worker:
    """One worker's loop. `step` is the part that a caller's own loop may use instead (hogwild.launch)."""

    def __init__(self, job: Job, context: WorkerContext) -> None:
        config = job.config
        self.job = job
        self.context = context
        self.rank = context.rank
        self.world = context.world
        control = context.world.control
        self.tickets: Tickets = control
        self.versions: Versions = control
        self.rounds: Rounds = control
        self.gate: Gate = control
        self.ledger: Ledger = control
        self.split = restore(job.data.train, context.arena, context.shapes)
        self.slowdown = config.straggler.get(context.rank, 1.0)
        self._reports = 0
        self._waited = 0.0  # at barriers, during the current update
        self._schedule = Schedule(context.log.parent, context.rank) if config.record else None
        check_identity(context.gpu, context.world.arena.device_of(context.rank))
        self.device, self.dtype = context.world.arena.enter(context.rank), context.world.layout.dtype
        self.module = job.build().to(self.device)
        self.world.recall(self.module, self.rank)
        self.view = WorkerView(
            context.world,
            context.rank,
            job.algorithm.keeps(),
            access=Access(config.access),
            guard=Guard(config.guard),
            inplace=config.read == "inplace",
            weight_decay=config.weight_decay,
            clip=config.clip,
            barriers_per_round=job.algorithm.barriers_per_round,
            seed=config.seed,
        )
        # A barrier says that what came before it is there, and so does giving back a lock.
        waits = job.algorithm.barriers_per_round or job.algorithm.follows_updates or config.access == "locked"
        self.view.defers = self.device.type == "cuda" and not waits
        self.stepper = Stepper(job.algorithm, self.view, self.module, self._wait)
        self.forward = Forward(self.module, config, self.device)
        self.graph: GraphedGradient | None = None
        if config.cuda_graph:
            self.graph = GraphedGradient(self._evaluate, self.module, lambda: self.stepper.bound)
        self._pending: Pending | None = None

    def run(self) -> None:
        """Works until no ticket is left that could come here, or the caller's own loop (hogwild.launch) returns."""
        seed_batch(self.job.config.seed, self.versions.version * self.world.workers + self.rank)  # for an own loop
        self.enter_run()
        if self.job.body is not None:
            self.job.body(Handle(self))
        else:
            self._train()
        self.leave_run()

    def _train(self) -> None:
        evaluate: Evaluate = self.graph or self._evaluate
        while (ticket := self._take()) != NO_TICKET:
            began = time.perf_counter()
            self.ledger.set_phase(self.rank, Phase.DATA)
            index = self.job.order.begin(ticket, self.rank, self.tickets.completed(self.rank))
            inputs, targets = to_device(self.split.batch(index, train=True), self.device, self.dtype)
            self.ledger.set_phase(self.rank, Phase.GRADIENT)
            self._update(*evaluate(inputs, targets), len(index), ticket, began)

    def _evaluate(self, inputs: Any, targets: Any) -> tuple[Tensor, Gradients]:
        """Loss and gradients at the parameters where the algorithm wants them."""
        loss = self.job.data.loss(self.forward(inputs), targets)
        return loss.detach(), self.stepper.gradients(loss)

    def enter_run(self) -> None:
        """Joins the others (synchronous algorithms: at the end of a round) and reads the model for the first time."""
        self._join()
        self.module.train()
        self.stepper.begin()
        if self.job.body is None and (self.job.config.compile or self.graph is not None):
            self._rehearse()
        self.context.events.send(("ready", os.getpid()))

    def _rehearse(self) -> None:
        """A full batch's gradient, thrown away before the run begins: compilers take time, graphs are captured."""
        before = [buffer.clone() for buffer in self.module.buffers()]
        index = self.job.order.begin(0, self.rank, 0)
        index = index[torch.arange(self.job.config.batch_size) % len(index)]  # filled up
        batch = to_device(self.split.batch(index, train=True), self.device, self.dtype)
        (self._evaluate if self.graph is None else self.graph.prepare)(*batch)
        for buffer, value in zip(self.module.buffers(), before, strict=True):
            buffer.copy_(value)

    def leave_run(self) -> None:
        self._finish_update()
        self.rounds.leave(self.rank)
        self.ledger.set_phase(self.rank, Phase.DONE)
        self.context.events.send(("done", time.monotonic()))

    def step(self, loss: Tensor, samples: int, ticket: int, began: float) -> None:
        """Backward, wait at the gate, update. `began`: perf_counter() when work on this batch started."""
        self._update(loss.detach(), self.stepper.gradients(loss), samples, ticket, began)

    def _update(self, loss: Tensor, g: Gradients, samples: int, ticket: int, began: float) -> None:
        if self.slowdown > 1.0:
            finish(self.device)
            time.sleep((self.slowdown - 1.0) * (time.perf_counter() - began))
        self._finish_update()
        waited = time.perf_counter()
        self._until(Phase.PAUSED, self.gate.enter)
        self.ledger.set_phase(self.rank, Phase.UPDATE)
        self.view.lr = self.job.schedule.lr(ticket)
        entered = time.perf_counter()
        self._waited = 0.0
        self.stepper.advance(g)
        self.world.publish(self.module, self.rank)
        spent_s = time.perf_counter() - entered - self._waited
        self._pending = Pending(
            Reading(loss), samples, ticket, waited - began, spent_s, entered - waited + self._waited
        )
        if self.view.in_flight:
            self.tickets.complete(self.rank)  # this worker takes its next ticket before the push is in the model
        else:
            self._finish_update(completes=True)

    def _finish_update(self, completes: bool = False) -> None:
        """Finishes the previous update: waits for its push, records loss, delay and times, and leaves the gate. Does
        nothing if that has been done.

        Until then this worker counts as inside an update, so a copy of the model always contains whole updates.
        """
        if (done := self._pending) is None:
            return
        self._pending = None
        self.view.settle()
        loss = done.loss.get()
        if not self.view.cancelled:  # then the ticket stays in hand
            self.ledger.record_loss(self.rank, loss, done.samples)
            if self._schedule is not None:
                self._schedule.write(self.view.last_version, self.view.last_place, done.ticket, self.view.last_delay)
            if completes:
                self.tickets.complete(self.rank)
        self.ledger.add_times(self.rank, done.gradient_s, done.update_s, done.waiting_s)
        self.gate.exit(self.rank)
        if self.view.last_refused or not math.isfinite(loss):
            self._report(loss)

    def _take(self) -> int:
        """The next ticket. When all are assigned, waits until none can come back from a worker that dies."""
        while (ticket := self.tickets.take(self.rank)) == NO_TICKET:
            self._finish_update()
            self.ledger.set_phase(self.rank, Phase.PAUSED)
            self.rounds.leave(self.rank)  # a synchronous round must not wait for a worker without work
            while not self.tickets.wait_for_work(self.rank, POLL_S):
                self.ledger.set_phase(self.rank, Phase.PAUSED)
                if self.tickets.stopping or not self.tickets.outstanding():
                    return NO_TICKET
            self._join()
            if self.job.algorithm.barriers_per_round:
                self.stepper.begin()  # the model went on without this worker
        return ticket

    def _until(self, phase: Phase, arrived: Callable[..., bool], *arguments: int) -> None:
        """Waits for others. The phase is set again and again as a sign of life: a stopped process gives none."""
        self.ledger.set_phase(self.rank, phase)
        while not arrived(self.rank, *arguments, POLL_S):
            self.ledger.set_phase(self.rank, phase)

    def _join(self) -> None:
        self._until(Phase.PAUSED, self.rounds.join, self.job.algorithm.barriers_per_round)
        self.view.generation = self.rounds.arrived(self.rank)  # the round that the others are in

    def _wait(self, request: Barrier | Update) -> None:
        began = time.perf_counter()
        self._meet() if isinstance(request, Barrier) else self._await_update()
        self._waited += time.perf_counter() - began
        self.ledger.set_phase(self.rank, Phase.UPDATE)

    def _meet(self) -> None:
        finish(self.device)
        generation = self.rounds.arrive(self.rank)
        self._until(Phase.BARRIER, self.rounds.wait_barrier, generation)
        self.view.generation = generation

    def _await_update(self) -> None:
        while self.versions.awaits_update(self.rank) and not self.tickets.stopping:
            self.gate.exit(self.rank)  # the worker that brings the update may stand at the closed gate
            self.ledger.set_phase(self.rank, Phase.BARRIER)
            self.versions.wait_update(self.rank, POLL_S)
            self._until(Phase.BARRIER, self.gate.enter)
            self.view.gather_rest()

    def _report(self, loss: float) -> None:
        self._reports += 1
        if self._reports <= MAX_REPORTS:
            facts: dict[str, Any] = {  # the arguments of Driver.on_nonfinite
                "loss": loss,
                "elements": self.view.last_refused,
                "version": self.versions.version,
                "lr": self.view.lr,
            }
            self.context.events.send(("nonfinite", facts))
