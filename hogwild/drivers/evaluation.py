"""Evaluation: always of a consistent copy of the model, with BatchNorm statistics pooled over the workers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hogwild.drivers.device import to_device
from hogwild.nn.pooling import pooled_buffers
from hogwild.shared.layout import trainable
from hogwild.tasks.data import Data, Split

EVAL_BATCH = 500


@dataclass(frozen=True)
class Score:
    """The result on a split: mean loss per sample, and the data set's own metric."""

    loss: float
    metric: str
    value: float

    def fields(self, prefix: str = "test") -> dict[str, float]:
        return {f"{prefix}_loss": self.loss, f"{prefix}_{self.metric}": self.value}


def load_into(module: nn.Module, parameters: Sequence[Tensor], per_worker: Sequence[Mapping[str, Tensor]]) -> None:
    """Copies parameters, and the workers' pooled buffers, into `module`."""
    with torch.no_grad():
        for parameter, value in zip(trainable(module), parameters, strict=True):
            parameter.copy_(value)
        buffers = dict(module.named_buffers())
        for name, value in (pooled_buffers(module, per_worker) if buffers else {}).items():
            buffers[name].copy_(value)


@torch.no_grad()
def evaluate(module: nn.Module, data: Data, split: Split, pulse: Callable[[], None] = lambda: None) -> Score:
    """Loss and metric of `module` on a split. `pulse` is called between batches, so that the caller can go on watching."""
    was_training, place = module.training, next(module.parameters())
    module.eval()
    loss_sum, score_sum, count, samples = 0.0, 0.0, 0, 0
    for start in range(0, len(split), EVAL_BATCH):
        index = torch.arange(start, min(start + EVAL_BATCH, len(split)))
        inputs, targets = to_device(split.batch(index, train=False), place.device, place.dtype)
        output = module(inputs)
        loss_sum += float(data.loss(output, targets)) * len(index)
        part, parts = data.score(output, targets)
        score_sum, count, samples = score_sum + part, count + parts, samples + len(index)
        pulse()
    module.train(was_training)
    return Score(loss_sum / samples if samples else math.nan, data.metric, score_sum / count if count else math.nan)


def summary_fields(score: Score | None) -> dict[str, Any]:
    return {} if score is None else score.fields()
