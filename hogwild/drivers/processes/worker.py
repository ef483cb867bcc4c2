"""The worker process: take a ticket, compute its gradient, let the algorithm update the shared model, again.

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
from hogwild.drivers.processes.context import Seat
from hogwild.drivers.processes.graph import Evaluate, GraphedGradient
from hogwild.drivers.processes.handle import Handle
from hogwild.drivers.processes.stepper import Stepper
from hogwild.drivers.view.worker_view import WorkerView
from hogwild.errors import HogwildError
from hogwild.kernels.control import Phase
from hogwild.rules import Access, Guard
from hogwild.shared.device_memory import check_identity
from hogwild.shared.devices import Reading, finish, to_device
from hogwild.shared.seeds import seed_batch

NO_TICKET = -1
POLL_S = 1.0  # how long one wait in C++ may last before Python looks at signals
MAX_REPORTS = 20  # of non-finite gradients, per worker: enough to act on


@dataclass(frozen=True)
class Done:
    """An update whose books are still open: on a GPU it may not even have begun."""

    loss: Reading
    samples: int
    ticket: int
    gradient_s: float
    update_s: float
    waiting_s: float


def main(payload: bytes, seat: Seat) -> None:
    """Entry point of a worker process. `payload` is Job.dumps()."""
    seat.take()
    try:
        Worker(Job.loads(payload), seat).run()
    except HogwildError as error:
        seat.events.send(("error", type(error).__name__, str(error)))
        sys.exit(1)
    except Exception as error:
        traceback.print_exc()
        seat.events.send(("error", type(error).__name__, f"{type(error).__name__}: {error}"))
        sys.exit(1)


class Worker:
    """One worker's loop. `step` is the part that a caller's own loop may use instead (hogwild.launch)."""

    def __init__(self, job: Job, seat: Seat) -> None:
        config = job.config
        self.job = job
        self.seat = seat
        self.rank = seat.rank
        self.world = seat.world
        self.control = seat.world.control
        self.split = restore(job.data.train, seat.arena, seat.shapes)
        self.slowdown = config.straggler.get(seat.rank, 1.0)
        self._reports = 0
        self._waited = 0.0  # at barriers, during the current update
        self._schedule = Schedule(seat.log.parent, seat.rank) if config.record else None
        check_identity(seat.gpu, seat.world.arena.device_of(seat.rank))
        self.device, self.dtype = seat.world.arena.enter(seat.rank), seat.world.layout.dtype
        self.module = job.build().to(self.device)
        self.world.recall(self.module, self.rank)
        self.view = WorkerView(
            seat.world,
            seat.rank,
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
        self._done: Done | None = None

    def run(self) -> None:
        """Until no ticket is left for anyone, or the caller's own loop (hogwild.launch) returns."""
        seed_batch(self.job.config.seed, self.control.version * self.world.workers + self.rank)  # for an own loop
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
            self.control.set_phase(self.rank, Phase.DATA)
            index = self.job.order.begin(ticket, self.rank, self.control.completed(self.rank))
            inputs, targets = to_device(self.split.batch(index, train=True), self.device, self.dtype)
            self.control.set_phase(self.rank, Phase.GRADIENT)
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
        self.seat.events.send(("ready", os.getpid()))

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
        self._close()
        self.control.leave(self.rank)
        self.control.set_phase(self.rank, Phase.DONE)
        self.seat.events.send(("done", time.monotonic()))

    def step(self, loss: Tensor, samples: int, ticket: int, began: float) -> None:
        """Backward, wait at the gate, update. `began`: perf_counter() when work on this batch started."""
        self._update(loss.detach(), self.stepper.gradients(loss), samples, ticket, began)

    def _update(self, loss: Tensor, g: Gradients, samples: int, ticket: int, began: float) -> None:
        if self.slowdown > 1.0:
            finish(self.device)
            time.sleep((self.slowdown - 1.0) * (time.perf_counter() - began))
        self._close()
        waited = time.perf_counter()
        self._until(Phase.PAUSED, self.control.enter)
        self.control.set_phase(self.rank, Phase.UPDATE)
        self.view.lr = self.job.schedule.lr(ticket)
        entered = time.perf_counter()
        self._waited = 0.0
        self.stepper.advance(g)
        self.world.publish(self.module, self.rank)
        spent_s = time.perf_counter() - entered - self._waited
        self._done = Done(Reading(loss), samples, ticket, waited - began, spent_s, entered - waited + self._waited)
        if self.view.in_flight:
            self.control.complete(self.rank)  # this worker takes its next ticket before the push has landed
        else:
            self._close(completes=True)

    def _close(self, completes: bool = False) -> None:
        """Waits until the last update is in the model, leaves it and does its books; nothing if that has been done.

        A worker is inside its update until then, so whoever copies the model copies all of it.
        """
        if (done := self._done) is None:
            return
        self._done = None
        self.view.settle()
        loss = done.loss.get()
        if not self.view.cancelled:  # then the ticket stays in hand
            self.control.record_loss(self.rank, loss, done.samples)
            if self._schedule is not None:
                self._schedule.write(self.view.last_version, self.view.last_place, done.ticket, self.view.last_delay)
            if completes:
                self.control.complete(self.rank)
        self.control.exit(self.rank)
        self.control.spend(self.rank, done.gradient_s, done.update_s, done.waiting_s)
        if self.view.last_refused or not math.isfinite(loss):
            self._report(loss, done.ticket)

    def _take(self) -> int:
        """The next ticket. When all are dealt, stays until none can come back from a worker that dies."""
        while (ticket := self.control.take(self.rank)) == NO_TICKET:
            self._close()
            self.control.set_phase(self.rank, Phase.PAUSED)
            self.control.leave(self.rank)  # a synchronous round must not wait for a worker without work
            while not self.control.wait_for_work(self.rank, POLL_S):
                self.control.set_phase(self.rank, Phase.PAUSED)
                if self.control.stopping or not self.control.outstanding():
                    return NO_TICKET
            self._join()
            if self.job.algorithm.barriers_per_round:
                self.stepper.begin()  # the model went on without this worker
        return ticket

    def _until(self, phase: Phase, arrived: Callable[..., bool], *arguments: int) -> None:
        """Waits for others. A phase set again is a sign of life: who is stopped while it waits is told apart."""
        self.control.set_phase(self.rank, phase)
        while not arrived(self.rank, *arguments, POLL_S):
            self.control.set_phase(self.rank, phase)

    def _join(self) -> None:
        self._until(Phase.PAUSED, self.control.join, self.job.algorithm.barriers_per_round)
        self.view.generation = self.control.arrived(self.rank)  # the round that the others are in

    def _wait(self, request: Barrier | Update) -> None:
        began = time.perf_counter()
        self._meet() if isinstance(request, Barrier) else self._await_update()
        self._waited += time.perf_counter() - began
        self.control.set_phase(self.rank, Phase.UPDATE)

    def _meet(self) -> None:
        finish(self.device)
        generation = self.control.arrive(self.rank)
        self._until(Phase.BARRIER, self.control.wait_barrier, generation)
        self.view.generation = generation

    def _await_update(self) -> None:
        while self.control.awaits_update(self.rank) and not self.control.stopping:
            self.control.exit(self.rank)  # who brings the update may stand at the closed gate
            self.control.set_phase(self.rank, Phase.BARRIER)
            self.control.wait_update(self.rank, POLL_S)
            self._until(Phase.BARRIER, self.control.enter)
            self.view.gather_rest()

    def _report(self, loss: float, ticket: int) -> None:
        self._reports += 1
        if self._reports <= MAX_REPORTS:
            facts: dict[str, Any] = {
                "loss": loss,
                "nonfinite": self.view.last_refused,
                "ticket": ticket,
                "version": self.control.version,
                "lr": self.view.lr,
            }
            self.seat.events.send(("nonfinite", facts))
