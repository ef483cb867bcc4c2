"""The exponential moving average of the parameters, evaluated beside the model and saved in its checkpoints."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from hogwild.drivers.callbacks.callback import Callback, Run
from hogwild.errors import CheckpointError, UsageError

PREFIX = "ema_"


class EMA(Callback):
    """Keeps an average of the trained parameters x over the updates t:

        average <- d^k average + (1 - d^k) x_t,   d = min(decay, (1 + t) / (10 + t)),   k updates since the last one

    as torch.optim.swa_utils and TensorFlow's ExponentialMovingAverage do with k = 1 (Polyak & Juditsky 1992).
    Deviates: the parent reads the model every `every` updates only, so x_t stands for the k updates before it.

    Every evaluation has the metrics of the average too, as ema_test_loss, ...; they need a second pass over the data.
    Checkpoints hold the average: hogwild.load(run, ema=True). `average`: {name: [shape]} on the CPU, detached.

    Args:   decay: 0 < decay < 1.
            every: updates between two readings; each one copies the model once, while no update is in progress.
            warmup: use the smaller d of the first updates, else `decay` from the beginning.
    """

    def __init__(self, decay: float = 0.999, every: int = 10, *, warmup: bool = True) -> None:
        if not 0 < decay < 1 or every < 1:
            raise UsageError(f"EMA: decay {decay:g} must be between 0 and 1, and every {every} >= 1")
        self.decay, self.copies_every, self.warmup = decay, every, warmup
        self.average: dict[str, Tensor] = {}
        self._updates = 0  # of the last reading
        self._goes_on = False  # with the average of a checkpoint

    def on_start(self, run: Run) -> None:
        trained = {name: parameter for name, parameter in run.model.named_parameters() if parameter.requires_grad}
        if not self._goes_on:
            self.average = {name: parameter.detach().cpu().clone() for name, parameter in trained.items()}
            self._updates = run.updates
        self._goes_on = False
        if (here := {name: value.shape for name, value in trained.items()}) != {
            name: value.shape for name, value in self.average.items()
        }:
            raise CheckpointError(f"EMA: the average is not that of this model, which has {', '.join(here)}")

    @torch.no_grad()
    def on_copy(self, run: Run) -> None:
        t = run.updates
        decay = min(self.decay, (1 + t) / (10 + t)) if self.warmup else self.decay
        weight = 1 - decay ** (t - self._updates)
        for name, parameter in self._averaged(run.model).items():
            self.average[name].lerp_(parameter.cpu(), weight)
        self._updates = t

    def on_eval(self, run: Run) -> None:
        with self.applied(run.model):
            metrics = {PREFIX + name: value for name, value in run.evaluate().items()}
        if metrics.keys() & run.metrics.keys():
            raise UsageError(f"EMA: there are several averages, and {', '.join(metrics)} have one name: give one EMA")
        run.metrics.update(metrics)

    @contextlib.contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """A context in which `model` has the average in place of its trained parameters."""
        before = {name: parameter.detach().clone() for name, parameter in self._averaged(model).items()}
        _write(model, self.average)
        try:
            yield
        finally:
            _write(model, before)

    def state_dict(self) -> dict[str, Any]:
        return {"average": self.average, "updates": self._updates}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.average = {name: value.clone() for name, value in state["average"].items()}
        self._updates = state["updates"]
        self._goes_on = True

    def _averaged(self, model: nn.Module) -> dict[str, nn.Parameter]:
        return {name: parameter for name, parameter in model.named_parameters() if name in self.average}


@torch.no_grad()
def _write(model: nn.Module, values: Mapping[str, Tensor]) -> None:
    for name, parameter in model.named_parameters():
        if name in values:
            parameter.copy_(values[name])
