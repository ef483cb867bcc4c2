"""Workers that each see some classes of digits only, one class per batch, in a loop of their own (hogwild.launch)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import hogwild
from hogwild import tasks
from hogwild.nn import FullNorm1d

BATCH = 16
AHEAD = 20  # steps that a worker may be ahead of the mean: no worker trains alone while others start late


def samples(part: str) -> tuple[Tensor, Tensor]:
    split = getattr(tasks.load("digits"), part)
    inputs, targets = split.batch(torch.arange(len(split)), train=False)
    return inputs, targets


def net() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 10))


@dataclass(frozen=True)
class OwnClasses:
    """`steps` batches of BATCH samples: worker r of n takes the classes r, r + n, ... in turn."""

    steps: int

    def __call__(self, worker: hogwild.Worker) -> None:
        inputs, targets = samples("train")
        pools = [torch.where(targets == label)[0] for label in range(worker.rank, 10, worker.workers)]
        generator = torch.Generator().manual_seed(worker.rank)
        for step in range(self.steps):
            while worker.version < (step - AHEAD) * worker.workers and not worker.should_stop:
                time.sleep(0.001)
            pool = pools[step % len(pools)]
            index = pool[torch.randint(len(pool), (BATCH,), generator=generator)]
            worker.step(F.cross_entropy(worker.model(inputs[index]), targets[index]), BATCH)


def accuracy(steps: int, **options: Any) -> float:
    """The accuracy of the trained model on the test digits, with the statistics at the end of the run."""
    model = hogwild.launch(OwnClasses(steps), net, **options).model.eval()
    inputs, targets = samples("test")
    with torch.no_grad():
        return float((model(inputs).argmax(1) == targets).double().mean())


def deep() -> nn.Module:
    """64-64-64-10 with two norms."""
    return nn.Sequential(net()[:4], nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 10))


def own_full_norm() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), FullNorm1d(16, alpha=0.2), nn.ReLU(), nn.Linear(16, 10))
