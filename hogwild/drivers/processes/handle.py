"""The handle through which a caller's own loop (hogwild.launch) uses its worker."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from hogwild.drivers.instruments.numbers import TRAINING, numbers
from hogwild.drivers.processes.loop_worker import LoopWorker
from hogwild.drivers.processes.own_optimizers import OwnOptimizers
from hogwild.errors import UsageError
from hogwild.own_code import described, place_of, told

METRICS_S = 1.0  # between two reports of a worker's own metrics


class EndOfRun(BaseException):
    """Ends a loop of the caller's own that goes on after the last update of the run."""


class Handle:
    """The argument that hogwild.launch passes to the caller's function in each worker process.

    `model` has the parameters at which the algorithm needs the next gradient; `step` takes the loss computed with it.
    With read="inplace", and in algorithms with replicas, the loop's own writes to these parameters hold; otherwise the
    next step raises UsageError (hogwild/drivers/view/own_writes.py). Parameters that are not trained are one for all
    workers and may be written at any time.
    """

    def __init__(self, worker: LoopWorker) -> None:
        self._worker = worker
        self._began = worker.clock()
        self._is_over = False
        self._sums: dict[str, tuple[float, int]] = {}
        self._told_at = self._began
        self._optimizers = OwnOptimizers(worker, self._end)

    @property
    def model(self) -> nn.Module:
        return self._worker.module

    @property
    def rank(self) -> int:
        return self._worker.rank

    @property
    def workers(self) -> int:
        return self._worker.world.workers

    @property
    def box(self) -> int:
        """The number of this box among `boxes`; 0 in a run of one."""
        return self._worker.job.box

    @property
    def boxes(self) -> int:
        """How many boxes the run has, each with `workers` workers: their loops are apart by (box, rank)."""
        return self._worker.job.boxes

    @property
    def version(self) -> int:
        """The number of updates that all workers together have applied so far, in a run of several boxes those of this
        box.
        """
        return self._worker.versions.version

    @property
    def lr(self) -> float:
        """The learning rate of the next update by the run's schedule."""
        tickets, job = self._worker.tickets, self._worker.job
        return job.schedule.lr(min(tickets.number(tickets.next), max(job.total_tickets - 1, 0)))

    @property
    def should_stop(self) -> bool:
        """Whether the run ends: it was asked to (Ctrl-C, a callback), or has begun the last of its `updates`, which are
        those of all boxes together. Return soon: after STOP_TIMEOUT_S (hogwild.drivers.processes.trainer) the worker is
        killed.
        """
        tickets = self._worker.tickets
        return tickets.stopping or (tickets.next >= tickets.total and not tickets.open)

    def step(
        self,
        loss: Tensor | None = None,
        samples: int = 1,
        *,
        lr: float | None = None,
        metrics: Mapping[str, float] | None = None,
    ) -> None:
        """Backward of a scalar loss, then one update of the shared model by the run's algorithm.

        Without a loss, the update takes the gradients that backward() of your own has left in `model`: clipped, or
        summed over several batches, as you like. Either way they are taken, and `model` has none afterwards.

        Mutates the shared buffers and `model`, which has fresh parameters afterwards. Waits while the parent copies the
        model, and at the barriers of a synchronous algorithm. A gradient that is not finite is not applied; one that is
        given up (Gradient.within) is lost and counted as dropped; the next step takes another batch. After the last
        update of the run, or if it is to stop, a step does nothing, and one more ends the loop as if it had returned
        None: ask `should_stop` between two steps to end it yourself.

        Args:   samples: for the counts and rates.
                lr: of this update, in place of the schedule's.
                metrics: numbers of your own; their means over all workers are recorded about once a second.
        """
        if samples < 0 or samples != int(samples) or not 0 <= (0.0 if lr is None else lr) < math.inf:
            raise UsageError(f"worker.step needs samples, a whole number, and lr >= 0; they are {samples} and {lr}")
        for name, value in numbers(metrics or {}, TRAINING, "metrics of worker.step").items():
            total, count = self._sums.get(name, (0.0, 0))
            self._sums[name] = total + value, count + 1
        with self._optimizers.at_rest():
            goes_on = self._worker.step(loss, int(samples), self._began, lr)
        self._began = self._worker.clock()
        if self._sums and self._began - self._told_at >= METRICS_S:
            self._tell()
        if not goes_on and self._is_over:
            self._end()
        self._is_over = not goes_on

    def refresh(self) -> None:
        """Reads the shared model into `model` without an update: for long roll-outs between two steps. In algorithms
        with replicas or barriers the worker has what it needs already, and nothing happens.
        """
        self._worker.refresh()

    def _end(self) -> None:
        raise EndOfRun

    def _tell(self) -> None:
        self._told_at = self._began
        self._worker.context.events.send(("metrics", self._sums))
        self._sums = {}


def run_loop(worker: LoopWorker, body: Callable[[Handle], Any]) -> None:
    """Runs the caller's loop, and sends the parent what it returns. UsageError if that cannot be pickled."""
    handle, value = Handle(worker), None
    try:
        value = body(handle)
    except EndOfRun:
        pass
    except NotImplementedError as error:
        if "Sparse" not in str(error) or not worker.world.tables:
            raise
        raise UsageError(
            "the gradient of a table is sparse, and torch.nn.utils.clip_grad_norm_ takes none that is: give "
            f"hogwild.launch(clip=...) in its place{place_of(error)}"
        ) from error
    finally:
        handle._optimizers.close()
    if handle._sums:
        handle._tell()
    if value is None:
        return
    try:
        data = pickle.dumps(value)
    except Exception as error:
        raise UsageError(
            f"worker {worker.rank} returned {described(value)}, which cannot be sent to the parent ({told(error)})"
        ) from error
    worker.context.events.send(("returned", data))
