"""torch optimizers that a caller's own loop makes of the parameters of worker.model."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from hogwild.drivers.processes.loop_worker import LoopWorker
from hogwild.errors import UsageError
from hogwild.shared.layout import trainable


class OwnOptimizers:
    """Watches the steps of all torch optimizers of this process while a loop runs.

    With read="inplace" a step on the model's trained parameters updates the master, racing with the other workers: it
    is counted as an update of the run. Elsewhere it would be lost: UsageError at its first step. `ends` is called if
    the run has made all its updates.
    """

    def __init__(self, worker: LoopWorker, ends: Callable[[], None]) -> None:
        self._worker, self._ends = worker, ends
        self._trained = {id(parameter) for parameter in trainable(worker.module)}
        self._update: contextlib.AbstractContextManager[bool] | None = None
        self._rests = False
        self._hooks = [register_optimizer_step_pre_hook(self._before), register_optimizer_step_post_hook(self._after)]

    def close(self) -> None:
        for hook in self._hooks:
            hook.remove()

    @contextlib.contextmanager
    def at_rest(self) -> Iterator[None]:
        """A context in which steps are none of the loop's."""
        self._rests = True
        try:
            yield
        finally:
            self._rests = False

    def _steps_here(self, optimizer: Optimizer) -> bool:
        return not self._rests and any(
            id(parameter) in self._trained for group in optimizer.param_groups for parameter in group["params"]
        )

    def _before(self, optimizer: Optimizer, *_: Any) -> None:
        if not self._steps_here(optimizer):
            return
        if self._worker.job.config.read != "inplace":
            raise UsageError(
                f"{type(optimizer).__name__}.step() of your own would update a private copy of worker.model: call "
                "worker.step(loss), which updates the shared model by the run's algorithm (algorithm=, lr=), or give "
                'read="inplace"'
            )
        self._update = self._worker.own_update()
        if not self._update.__enter__():
            self._ends()

    def _after(self, optimizer: Optimizer, *_: Any) -> None:
        if self._update is not None and self._steps_here(optimizer):
            update, self._update = self._update, None
            update.__exit__(None, None, None)
