"""What is trained, and what slows workers down: sleeps in a worker's data, alike for all methods."""

from __future__ import annotations

import multiprocessing
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from hogwild.tasks import build_model, load
from hogwild.tasks.data import Data, Split

BATCH_SIZE = 64
SLOW, FACTOR = 1, 4.0  # the last of two workers, and how many times as long its gradients take
BURST, BURST_STEPS = 0.01, 50  # every hundredth gradient of any worker is held up for fifty times as long


@dataclass(frozen=True)
class Task:
    """`epochs`: passes over the data, by all workers together. `target`: the accuracy to be reached."""

    data: str
    model: str
    epochs: float
    target: float
    lrs: tuple[float, float, float] = (0.02, 0.05, 0.1)
    rule: str = "sgd"  # or adamw; sgd has momentum 0.9

    def load(self, situation: str, step_s: float) -> Data:
        """The data, in memory that processes can share. `step_s`: a gradient of this task takes about so long."""
        data = load(self.data)
        for tensor in data.train.tensors().values():
            tensor.share_memory_()
        return replace(data, train=Slowed(data.train, situation, step_s))

    def build(self, data: Data, seed: int) -> nn.Module:
        torch.manual_seed(seed)
        return build_model(self.model, data)

    def maker(self, data: Data, seed: int) -> partial[nn.Module]:
        """`build` for worker processes: without the training set."""
        return partial(self.build, replace(data, train=data.test), seed)


TASKS: Mapping[str, Task] = {
    "mlp": Task("fashion_mnist", "mlp", 3, 0.85),
    "lenet": Task("fashion_mnist", "lenet", 2, 0.85),
    "resnet20": Task("cifar10", "resnet20", 4, 0.6),
    "charlm": Task("tinyshakespeare", "charlm", 3, 0.3, (2e-3, 4e-3, 8e-3), "adamw"),
    "digits": Task("digits", "mlp", 6, 0.85),
}
SITUATIONS = {
    "healthy": "all workers alike",
    "straggler": f"one of the two workers {FACTOR:g} times slower",
    "bursts": f"{BURST:.0%} of all gradients held up for {BURST_STEPS} times as long",
}


class Slowed(Split):
    """A split whose batches come late, as the situation wants it. The rank is the last part of the process's name."""

    def __init__(self, whole: Split, situation: str, step_s: float) -> None:
        self.whole, self.situation, self.step_s = whole, situation, step_s
        self.seeds_others = whole.seeds_others

    def __len__(self) -> int:
        return len(self.whole)

    def batch(self, index: Tensor, *, train: bool) -> tuple[Any, Any]:
        if train and self.situation != "healthy":
            self._sleep()
        return self.whole.batch(index, train=train)

    def _sleep(self) -> None:
        rank = multiprocessing.current_process().name.rpartition("-")[2]
        if self.situation == "straggler" and rank == str(SLOW):
            time.sleep((FACTOR - 1) * self.step_s)
        elif self.situation == "bursts" and rank.isdigit() and _OWN.random() < BURST:
            time.sleep(BURST_STEPS * self.step_s)

    def tensors(self) -> dict[str, Tensor]:
        return self.whole.tensors()

    def with_tensors(self, tensors: Mapping[str, Tensor]) -> Split:
        return Slowed(self.whole.with_tensors(tensors), self.situation, self.step_s)


_OWN = random.Random()  # apart from the generators that belong to the batches
