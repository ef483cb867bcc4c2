"""A worker process takes a ticket, computes its gradient, lets the algorithm update the shared model, and repeats."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from hogwild.algorithms.base import Barrier, Gradients, Update
from hogwild.drivers.instruments.recording import Recorder, unrecorded
from hogwild.drivers.instruments.trace import JOIN, LEAVE, REST
from hogwild.drivers.job.job import Job
from hogwild.drivers.job.model import smallest_batch
from hogwild.drivers.job.samples import BadSample, Reader
from hogwild.drivers.job.shared_split import restore
from hogwild.drivers.processes.computation import Computation
from hogwild.drivers.processes.context import WorkerContext
from hogwild.drivers.processes.layer_hooks import LayerHooks
from hogwild.drivers.processes.meeting import POLL_S, Meeting
from hogwild.drivers.processes.module_buffers import ModuleBuffers
from hogwild.drivers.processes.pending import Pending
from hogwild.drivers.processes.stepper import Stepper
from hogwild.drivers.view.worker_view import view_of
from hogwild.kernels.control import Phase
from hogwild.shared.control import NO_TICKET, Gate, Ledger, Rounds, Tickets, Versions
from hogwild.shared.device_memory import check_identity
from hogwild.shared.devices import Reading, finish, to_device
from hogwild.shared.seeds import mixed, seed_all

MAX_REPORTS = 20  # reports of non-finite gradients per worker


class Worker:
    """One worker's loop.

    `clock`: seconds, from the same origin as `context.began`.
    """

    def __init__(self, job: Job, context: WorkerContext, clock: Callable[[], float] = time.monotonic) -> None:
        config = job.config
        self.job = job
        self.context = context
        self.clock = clock
        self.rank = context.rank
        self.world = context.world
        control = context.world.control
        self.tickets: Tickets = control
        self.versions: Versions = control
        self.rounds: Rounds = control
        self.gate: Gate = control
        self.ledger: Ledger = control
        self._reports = 0
        check_identity(context.gpu, context.world.arena.device_of(context.rank))
        self.device, self.dtype = context.world.arena.enter(context.rank), context.world.layout.dtype
        self.module = job.build().to(self.device)
        self.world.adopt(self.module, self.rank)
        train = restore(job.data.train, context.arena, context.shapes)
        self.reader = Reader(train, smallest_batch(self.module, config.batch_size))
        self._buffers = ModuleBuffers(self.world, self.module, self.rank)
        self.view = view_of(job, context.world, context.rank, lambda: clock() - context.began)
        # After a barrier or a lock, the next worker must find this worker's push in the model.
        waits = job.algorithm.barriers_per_round or job.algorithm.follows_updates or config.access == "locked"
        self.view.updates.defers = self.device.type == "cuda" and not waits
        self._recorder: Recorder | None = None
        if config.record:
            alone = config.access == "locked" and not job.algorithm.barriers_per_round  # whose workers wait in turns
            self._recorder = Recorder(
                context.log.parent, self.rank, control, alone=alone, settle=lambda: finish(self.device)
            )
        self._turn = self._recorder.turn if self._recorder else unrecorded
        self.stepper = Stepper(job.algorithm, self.view, self.module, self._wait, self._turn)
        slowdown = config.straggler.get(context.rank, 1.0)
        self.compute = Computation(job, self.module, self.device, self.stepper, clock, slowdown)
        self._pending: Pending | None = None
        self._is_inside = False  # the gate
        if config.layer_pushes:
            self.stepper.backward = LayerHooks(self.stepper, self._enter).backward
        self._meet_parent = Meeting(job, self.world, context.events, self._finish_update)

    def run(self, body: Callable[[], None] | None = None) -> None:
        """Works until no ticket is left that could come here, or until the caller's own loop `body` returns."""
        seed_all(mixed(self.job.config.seed, self.versions.version * self.world.workers + self.rank))  # for an own loop
        self.enter_run()
        (body or self._train)()
        self.leave_run()

    def _train(self) -> None:
        while (ticket := self._take()) != NO_TICKET:
            began = self.clock()
            self.ledger.set_phase(self.rank, Phase.DATA)
            completed = self.tickets.completed(self.rank)
            number = self.tickets.number(ticket)
            batches = self.reader.in_parts(self.job.order, number, self.rank, completed, self.job.config.batch_size)
            bad: tuple[BadSample, ...] = ()
            samples, parts = 0, []
            for part in batches:
                bad += part.bad
                if count := len(part):
                    samples += count
                    parts.append((*to_device((part.inputs, part.targets), self.device, self.dtype), count))
            if bad and not self._goes_on(bad, samples, ticket):
                continue
            self.ledger.set_phase(self.rank, Phase.GRADIENT)
            if self.job.config.layer_pushes:
                self.view.lr = self.job.schedule.lr(number)
            if len(parts) == 1:
                inputs, targets, _ = parts[0]
                loss, g = self.compute(inputs, targets, began)
            else:
                loss, g = self.compute.accumulated(parts, began)
            self._update(loss, g, samples, ticket, began)
            self._meet_parent()

    def _goes_on(self, bad: tuple[BadSample, ...], samples: int, ticket: int) -> bool:
        """Reports samples that cannot be read. False if the run ends for them, with the ticket not completed, or if
        nothing is left of the batch: then its ticket is completed, and nothing pushed.
        """
        self.context.events.send(("samples", bad, ticket))
        if self.job.config.on_bad_sample == "stop":
            self.tickets.stop()
            return False
        if samples:
            return True
        if self._recorder is not None:
            self._finish_update()  # so that lines are in the order of turns
            self._recorder.empty(ticket)
        self.tickets.complete(self.rank)
        return False

    def enter_run(self) -> None:
        """Joins the run (synchronous algorithms: at the end of a round) and reads the model for the first time."""
        self._join()
        self.module.train()
        self.stepper.begin()
        if self.job.body is None and self.compute.needs_preparing:
            self._rehearse()
        self.context.events.send(("ready", os.getpid()))

    def _rehearse(self) -> None:
        """Computes the gradient of a full batch and drops it, before the run begins: compiles the model, captures the
        graph.
        """
        before = [buffer.clone() for buffer in self.module.buffers()]
        first = self.reader.of_ticket(self.job.order, 0, self.rank, 0).index
        if not len(first):
            return
        index = first[torch.arange(self.job.config.batch_size) % len(first)]  # filled up
        batch = self.reader.read(index, train=True)
        self.compute.prepare(*to_device((batch.inputs, batch.targets), self.device, self.dtype))
        for buffer, value in zip(self.module.buffers(), before, strict=True):
            buffer.copy_(value)

    def leave_run(self) -> None:
        self.stepper.own_writes.check()
        self._finish_update()
        self._leave()
        if self._recorder is not None:
            self._recorder.close()
        if self.view.layers.delay_count:
            self.context.events.send(("layers", self.view.layers.delay_sum, self.view.layers.delay_count))
        self.ledger.set_phase(self.rank, Phase.DONE)
        self.context.events.send(("done", time.monotonic()))

    def _update(
        self, loss: Tensor | None, g: Gradients | None, samples: int, ticket: int, began: float, lr: float | None = None
    ) -> None:
        """Sends `g` to the algorithm, inside the gate. `g` is None if the gradient was given up; the worker then keeps
        its ticket.
        """
        self.stepper.own_writes.check()
        self.compute.slow_down(began, given_up=g is None)
        self._finish_update()
        self._enter()
        self.ledger.set_phase(self.rank, Phase.UPDATE)
        self.view.lr = self.job.schedule.lr(self.tickets.number(ticket)) if lr is None else lr
        self.stepper.advance(g)
        outcome, pending = self.view.outcome, self.view.pending
        keeps = g is not None and (pending or not (outcome.refused or outcome.cancelled))
        self._buffers.settle(keeps=keeps, pending=pending)
        self._pending = Pending(None if loss is None else Reading(loss), samples, ticket, g is None)
        if not pending:
            self._finish_update(completes=True)
        elif g is not None:
            self.tickets.complete(self.rank)  # this worker takes its next ticket before its push has ended

    def _enter(self) -> None:
        """Enters the gate, if it is not inside since an early push of this update."""
        if not self._is_inside:
            self._finish_update()
            self._until(Phase.PAUSED, self.gate.enter)
            self._is_inside = True

    def _finish_update(self, completes: bool = False) -> None:
        """Finish the previous update: wait for its push, leave the gate, record loss and delay. No-op if already
        finished.

        Until then this worker counts as inside an update, so a copy of the model always contains whole updates.
        """
        if (done := self._pending) is None:
            return
        self._pending = None
        self.view.finish()
        outcome, loss = self.view.outcome, math.nan if done.loss is None else done.loss.get()
        if self._recorder is not None:
            facts = outcome.version, outcome.place, outcome.delay
            self._recorder.gradient(done.ticket, *facts, given_up=done.given_up, cancelled=outcome.cancelled)
        if outcome.refused and not completes:
            self._buffers.take_back()
        if not (done.given_up or outcome.cancelled):  # else the worker keeps its ticket
            self.ledger.record_loss(self.rank, loss, done.samples)
            if completes:
                self.tickets.complete(self.rank)
        self.gate.exit(self.rank)
        self._is_inside = False
        if not done.given_up and (outcome.refused or not (done.loss is None or math.isfinite(loss))):
            self._report(loss)

    def _take(self) -> int:
        """The next ticket. If all are assigned, waits: a ticket of a worker that dies is assigned again."""
        while (ticket := self.tickets.take(self.rank)) == NO_TICKET:
            self._finish_update()
            self.ledger.set_phase(self.rank, Phase.PAUSED)
            self._leave()  # a synchronous round must not wait for a worker without work
            while not self.tickets.wait_for_work(self.rank, POLL_S):
                self.ledger.set_phase(self.rank, Phase.PAUSED)
                if self.tickets.stopping or not (self.tickets.outstanding() or self.tickets.open):
                    return NO_TICKET
            self._join()
            if self.job.algorithm.barriers_per_round:
                self.stepper.begin()  # the model has changed meanwhile
        return ticket

    def _until(self, phase: Phase, arrived: Callable[..., bool], *arguments: int) -> None:
        """Waits for other workers. Setting the phase again is a sign of life: a worker that is stopped gives none."""
        self.ledger.set_phase(self.rank, phase)
        while not arrived(self.rank, *arguments, POLL_S):
            self.ledger.set_phase(self.rank, phase)

    def _join(self) -> None:
        self.ledger.set_phase(self.rank, Phase.PAUSED)  # it may wait for the turn of another worker
        with self._turn(JOIN):
            self._until(Phase.PAUSED, self.rounds.join, self.job.algorithm.barriers_per_round)
        self.view.rounds.generation = self.rounds.arrived(self.rank)  # current round of the other workers

    def _leave(self) -> None:
        with self._turn(LEAVE):
            self.rounds.leave(self.rank)

    def _wait(self, request: Barrier | Update) -> None:
        self._meet(request) if isinstance(request, Barrier) else self._await_update()
        self.ledger.set_phase(self.rank, Phase.UPDATE)

    def _meet(self, barrier: Barrier) -> None:
        finish(self.device)
        if barrier.arrives:
            self.rounds.arrive(self.rank)
        if barrier.waits:
            generation = self.rounds.arrived(self.rank)
            self._until(Phase.BARRIER, self.rounds.wait_barrier, generation)
            self.view.rounds.generation = generation

    def _await_update(self) -> None:
        while self.versions.awaits_update(self.rank) and not self.tickets.stopping:
            self.gate.exit(self.rank)  # the worker that makes the update may be waiting at the closed gate
            self.ledger.set_phase(self.rank, Phase.BARRIER)
            self.versions.wait_update(self.rank, POLL_S)
            self._until(Phase.BARRIER, self.gate.enter)
            with self._turn(REST):
                self.view.gather_rest()

    def _report(self, loss: float) -> None:
        self._reports += 1
        if self._reports <= MAX_REPORTS:
            facts: dict[str, Any] = {  # the arguments of Faults.nonfinite
                "loss": loss,
                "elements": self.view.outcome.refused,
                "version": self.versions.version,
                "lr": self.view.lr,
            }
            self.context.events.send(("nonfinite", facts))
