"""The course of one run: copies of its model with their times. They are scored when the run is over, so that scoring
takes no time from anybody's training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hogwild.tasks.data import Data
from hogwild.tasks.objectives import count_correct

BATCH = 500

Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Copy:
    """The model after `samples` samples and `seconds` seconds of training."""

    seconds: float
    samples: int
    weights: Weights


@dataclass(frozen=True)
class Course:
    """One run. Seconds count from the moment at which all workers begin; `seconds` until the last has ended."""

    copies: Sequence[Copy]
    seconds: float
    samples: int

    def scores(self, model: nn.Module, data: Data, samples: int) -> list[tuple[float, int, float]]:
        """(seconds, samples, accuracy) of every copy, on the first `samples` of the test set."""
        return [(copy.seconds, copy.samples, accuracy(model, copy.weights, data, samples)) for copy in self.copies]


@torch.no_grad()
def accuracy(model: nn.Module, weights: Weights, data: Data, samples: int) -> float:
    """The part of the classes, or next characters, that are right. 0 for weights that are not finite: their outputs
    have a class as well, which would be right now and then.
    """
    if not all(bool(value.isfinite().all()) for value in weights.values()):
        return 0.0
    model.load_state_dict(dict(weights))
    model.eval()
    right, count = 0.0, 0
    for index in torch.arange(min(samples, len(data.test))).split(BATCH):
        inputs, targets = data.test.batch(index, train=False)
        found = count_correct(model(inputs), targets)
        right, count = right + float(found[0]), count + int(found[1])
    return right / count


def weights_of(model: nn.Module) -> Weights:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}
