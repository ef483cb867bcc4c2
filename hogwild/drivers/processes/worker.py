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
from hogwild.drivers.job.batches import seed_batch
from hogwild.drivers.job.device import Reading, finish, to_device
from hogwild.drivers.job.job import Job, restore
from hogwild.drivers.processes.computation import Computation
from hogwild.drivers.processes.context import Seat
from hogwild.drivers.processes.handle import Handle
from hogwild.drivers.processes.stepper import Stepper
from hogwild.drivers.view.worker_view import view_of
from hogwild.errors import HogwildError
from hogwild.kernels.control import Phase
from hogwild.shared.device_memory import check_identity

NO_TICKET = -1
POLL_S = 1.0  # how long one wait in C++ may last before Python looks at signals
MAX_REPORTS = 20  # of non-finite gradients, per worker: enough to act on


@dataclass(frozen=True)
class Done:
    """An update that is not finished: its push may still be pending on a GPU, its metrics are not recorded.

    `given_up`: its gradient took too long, and nothing was computed from it.
    """

    loss: Reading
    samples: int
    ticket: int
    gradient_s: float
    update_s: float
    waiting_s: float
    given_up: bool


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
    """One worker's loop. `step` is the part that a caller's own loop may use instead (hogwild.launch).

    `clock`: seconds, from the same origin as `seat.began`.
    """

    def __init__(self, job: Job, seat: Seat, clock: Callable[[], float] = time.monotonic) -> None:
        config = job.config
        self.job = job
        self.seat = seat
        self.clock = clock
        self.rank = seat.rank
        self.world = seat.world
        self.control = seat.world.control
        self.split = restore(job.data.train, seat.arena, seat.shapes)
        self._reports = 0
        self._waited = 0.0  # at barriers, during the current update
        self._schedule = Schedule(seat.log.parent, seat.rank) if config.record else None
        check_identity(seat.gpu, seat.world.arena.device_of(seat.rank))
        self.device, self.dtype = seat.world.arena.enter(seat.rank), seat.world.layout.dtype
        self.module = job.build().to(self.device)
        self.world.recall(self.module, self.rank)
        self.view = view_of(job, seat.world, seat.rank, lambda: clock() - seat.began)
        # Whoever passes a barrier or takes the lock after this worker must find its push in the model.
        waits = job.algorithm.barriers_per_round or job.algorithm.follows_updates or config.access == "locked"
        self.view.updates.defers = self.device.type == "cuda" and not waits
        self.stepper = Stepper(job.algorithm, self.view, self.module, self._wait)
        slowdown = config.straggler.get(seat.rank, 1.0)
        self.compute = Computation(job, self.module, self.device, self.stepper, clock, slowdown)
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
        while (ticket := self._take()) != NO_TICKET:
            began = self.clock()
            self.control.set_phase(self.rank, Phase.DATA)
            index = self.job.order.begin(ticket, self.rank, self.control.completed(self.rank))
            inputs, targets = to_device(self.split.batch(index, train=True), self.device, self.dtype)
            self.control.set_phase(self.rank, Phase.GRADIENT)
            loss, g = self.compute(inputs, targets, began)
            self._update(loss, g, len(index), ticket, began)

    def enter_run(self) -> None:
        """Joins the others (synchronous algorithms: at the end of a round) and reads the model for the first time."""
        self._join()
        self.module.train()
        self.stepper.begin()
        if self.job.body is None and self.compute.needs_preparing:
            self._rehearse()
        self.seat.events.send(("ready", os.getpid()))

    def _rehearse(self) -> None:
        """A full batch's gradient, thrown away before the run begins: compilers take time, graphs are captured."""
        before = [buffer.clone() for buffer in self.module.buffers()]
        index = self.job.order.begin(0, self.rank, 0)
        index = index[torch.arange(self.job.config.batch_size) % len(index)]  # filled up
        batch = to_device(self.split.batch(index, train=True), self.device, self.dtype)
        self.compute.prepare(*batch)
        for buffer, value in zip(self.module.buffers(), before, strict=True):
            buffer.copy_(value)

    def leave_run(self) -> None:
        self._finish_update()
        self.control.leave(self.rank)
        self.control.set_phase(self.rank, Phase.DONE)
        self.seat.events.send(("done", time.monotonic()))

    def step(self, loss: Tensor, samples: int, ticket: int, began: float) -> None:
        """Backward, wait at the gate, update. `began`: clock() when work on this batch started."""
        self._update(loss.detach(), self.compute.backward(loss, began), samples, ticket, began)

    def _update(self, loss: Tensor, g: Gradients | None, samples: int, ticket: int, began: float) -> None:
        """Answers the algorithm with `g`, inside the gate. None, of a gradient given up: its ticket stays in hand."""
        self.compute.slow_down(began, given_up=g is None)
        self._finish_update()
        waited = self.clock()
        self._until(Phase.PAUSED, self.control.enter)
        self.control.set_phase(self.rank, Phase.UPDATE)
        self.view.lr = self.job.schedule.lr(ticket)
        entered = self.clock()
        self._waited = 0.0
        if g is None:
            self.view.drop()
        self.stepper.advance(g)
        self.world.publish(self.module, self.rank)
        gradient_s, waiting_s = waited - began, entered - waited + self._waited
        update_s = self.clock() - entered - self._waited
        self._done = Done(Reading(loss), samples, ticket, gradient_s, update_s, waiting_s, g is None)
        if not self.view.pending:
            self._finish_update(completes=True)
        elif g is not None:
            self.control.complete(self.rank)  # this worker takes its next ticket before its push has ended

    def _finish_update(self, completes: bool = False) -> None:
        """Finish the previous update: wait for its push, leave the gate, record loss, delay and timings. No-op if
        already finished.

        Until then this worker counts as inside an update, so a copy of the model always contains whole updates.
        """
        if (done := self._done) is None:
            return
        self._done = None
        self.view.finish()
        outcome, loss = self.view.outcome, done.loss.get()
        if not (done.given_up or outcome.cancelled):  # else the ticket stays in hand
            self.control.record_loss(self.rank, loss, done.samples)
            if self._schedule is not None:
                self._schedule.write(outcome.version, outcome.place, done.ticket, outcome.delay)
            if completes:
                self.control.complete(self.rank)
        self.control.exit(self.rank)
        self.control.spend(self.rank, done.gradient_s, done.update_s, done.waiting_s)
        if not done.given_up and (outcome.refused or not math.isfinite(loss)):
            self._report(loss, done.ticket)

    def _take(self) -> int:
        """The next ticket. When all are dealt, waits until no worker that dies can leave one behind."""
        while (ticket := self.control.take(self.rank)) == NO_TICKET:
            self._finish_update()
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
        """Waits for other workers. Setting the phase again is a sign of life: a worker that is stopped gives none."""
        self.control.set_phase(self.rank, phase)
        while not arrived(self.rank, *arguments, POLL_S):
            self.control.set_phase(self.rank, phase)

    def _join(self) -> None:
        self._until(Phase.PAUSED, self.control.join, self.job.algorithm.barriers_per_round)
        self.view.rounds.generation = self.control.arrived(self.rank)  # the round that the others are in

    def _wait(self, request: Barrier | Update) -> None:
        began = self.clock()
        self._meet() if isinstance(request, Barrier) else self._await_update()
        self._waited += self.clock() - began
        self.control.set_phase(self.rank, Phase.UPDATE)

    def _meet(self) -> None:
        finish(self.device)
        generation = self.control.arrive(self.rank)
        self._until(Phase.BARRIER, self.control.wait_barrier, generation)
        self.view.rounds.generation = generation

    def _await_update(self) -> None:
        while self.control.awaits_update(self.rank) and not self.control.stopping:
            self.control.exit(self.rank)  # the worker that brings the update may stand at the closed gate
            self.control.set_phase(self.rank, Phase.BARRIER)
            self.control.wait_update(self.rank, POLL_S)
            self._until(Phase.BARRIER, self.control.enter)
            self.view.gather_rest()

    def _report(self, loss: float, ticket: int) -> None:
        self._reports += 1
        if self._reports <= MAX_REPORTS:
            facts: dict[str, Any] = {
                "loss": loss,
                "nonfinite": self.view.outcome.refused,
                "ticket": ticket,
                "version": self.control.version,
                "lr": self.view.lr,
            }
            self.seat.events.send(("nonfinite", facts))
