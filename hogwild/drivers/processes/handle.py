"""The handle through which a caller's own loop (hogwild.launch) uses its worker."""

from __future__ import annotations

from torch import Tensor, nn

from hogwild.drivers.processes.worker import Worker


class Handle:
    """The argument that hogwild.launch passes to the caller's function in each worker process.

    `model` has the parameters at which the algorithm needs the next gradient; `step` takes the loss computed with it.
    With read="inplace", and in algorithms with replicas, the loop's own writes to these parameters hold; otherwise the
    next step raises UsageError (hogwild/drivers/view/own_writes.py). Parameters that are not trained are one for all
    workers and may be written at any time.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._steps = 0
        self._began = self._worker.clock()

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
    def version(self) -> int:
        """The number of updates that all workers together have applied so far."""
        return self._worker.versions.version

    @property
    def stopping(self) -> bool:
        """Whether the run has been asked to end (Ctrl-C): return soon."""
        return self._worker.tickets.stopping

    def step(self, loss: Tensor, samples: int = 1) -> None:
        """Backward of a scalar loss, then one update of the shared model by the run's algorithm.

        Mutates the shared buffers and `model`, which has fresh parameters afterwards. Waits while the parent copies the
        model, and at the barriers of a synchronous algorithm. A gradient that is not finite is not applied; one that is
        given up (Gradient.within) is lost and counted as dropped; the next step takes another batch.
        """
        self._worker.step(loss, samples, self._steps, self._began)
        self._steps += 1
        self._began = self._worker.clock()
