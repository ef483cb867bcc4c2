"""The worker of a caller's own loop (hogwild.launch)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

from hogwild.buffers import has_replicas
from hogwild.drivers.processes.meeting import POLL_S
from hogwild.drivers.processes.worker import Worker
from hogwild.kernels.control import Phase
from hogwild.shared.control import NO_TICKET


class LoopWorker(Worker):
    """A worker that takes a ticket for each step of the caller's loop. It does not wait for tickets of others, but for
    the next lease in a run of several boxes. All that the loop does between two updates counts as its gradient.
    """

    def enter_run(self) -> None:
        super().enter_run()
        self.ledger.set_phase(self.rank, Phase.GRADIENT)

    def step(self, loss: Tensor | None, samples: int, began: float, lr: float | None = None) -> bool:
        """Backward, wait at the gate, update. `began`: clock() at the start of work on this batch. No loss: the
        gradients are those that the parameters have. False, and nothing is done: the run has made all its updates.
        """
        if (ticket := self._take_for_step()) == NO_TICKET:
            return False
        g = self.stepper.gradients(None) if loss is None else self.compute.backward(loss, began)
        self._update(None if loss is None else loss.detach(), g, samples, ticket, began, lr)
        self._meet_parent()
        self.ledger.set_phase(self.rank, Phase.GRADIENT)
        return True

    def _take_for_step(self) -> int:
        """The next ticket; NO_TICKET if the run has no more."""
        while (ticket := self.tickets.take(self.rank)) == NO_TICKET and self.tickets.open and not self.tickets.stopping:
            self._finish_update()
            self.ledger.set_phase(self.rank, Phase.PAUSED)
            self.tickets.wait_for_work(self.rank, POLL_S)
        return ticket

    def refresh(self) -> None:
        """Reads the model anew, as after an update; where a worker trains its own replica, nothing is to be read."""
        if has_replicas(self.world.buffers) or self.job.algorithm.barriers_per_round:
            return
        self._finish_update()
        self.stepper.own_writes.check()
        self.stepper.begin()

    @contextmanager
    def own_update(self) -> Iterator[bool]:
        """A context in which the caller's own code updates the master in place: it is counted, and no copy of the model
        has a part of it. False: the run has made all its updates.
        """
        self._finish_update()
        if self._take_for_step() == NO_TICKET:
            yield False
            return
        self._until(Phase.PAUSED, self.gate.enter)
        self.ledger.set_phase(self.rank, Phase.UPDATE)
        is_locked = self.job.config.access == "locked"
        self.versions.begin_push(self.rank, is_locked)
        yield True
        self.versions.end_push(self.rank, is_locked, True, 0, 0.0, 0.0)
        self.versions.pulled(self.rank)
        self.ledger.record_loss(self.rank, math.nan, 1)
        self.tickets.complete(self.rank)
        self.gate.exit(self.rank)
        self._meet_parent()
        self.ledger.set_phase(self.rank, Phase.GRADIENT)
