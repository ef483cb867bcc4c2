"""User code: models and data that are unusual, wrong, or fail during a run. The workers import this module."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

import hogwild
from hogwild.algorithms.base import SHARED, SNAPSHOT, Algorithm, Buffer, Gradient, Steps, View
from hogwild.tasks import Data, TensorSplit


def samples(n: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(n)
    inputs = torch.randn(n, 6, generator=generator)
    return inputs, (inputs[:, 0] > 0).long() + (inputs[:, 1] > 0).long()


def data() -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    return samples(200), samples(60)


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))


def frozen() -> nn.Module:
    model = net()
    model[0].requires_grad_(False)
    return model


def all_frozen() -> nn.Module:
    return net().requires_grad_(False)


def lazy() -> nn.Module:
    return nn.LazyLinear(3)


def on_meta() -> nn.Module:
    return nn.Linear(6, 3, device="meta")


def complex_valued() -> nn.Module:
    return nn.Linear(6, 3, dtype=torch.complex64)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 3)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.second(self.first(x).relu()))


class Unused(nn.Module):
    """A layer that no gradient reaches, a parameter without elements, and buffers of all kinds."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.unused = nn.Linear(6, 3), nn.Linear(5, 5)
        self.empty = nn.Parameter(torch.empty(0))
        self.register_buffer("calls", torch.tensor(0))
        self.register_buffer("mask", torch.ones(3, dtype=torch.bool))
        self.register_buffer("nothing", torch.zeros(0))
        self.register_buffer("absent", None)

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.used(x) * self.mask


class ChannelsLast(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.last = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, 3)
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        images = x.view(-1, 3, 2, 1).contiguous(memory_format=torch.channels_last)
        return self.last(self.convolution(images).mean((2, 3)))


def half() -> nn.Module:
    return net().bfloat16()


def double() -> nn.Module:
    return net().double()


def normalised() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3))


class SparseGradient(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words, self.last = nn.Parameter(torch.randn(10, 6)), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        rows = (x[:, 0].abs() * 2).long().clamp(max=9)
        return self.last(x + nn.functional.embedding(rows, self.words, sparse=True))


class GrowingBuffer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(6, 3)
        self.register_buffer("cache", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.cache = torch.zeros(len(x), 2)
        return self.last(x)


class Failing(nn.Module):
    """Raises at its `at`-th batch, in workers with a process name that ends in `where`."""

    def __init__(self, at: int, where: str, message: str = "out of ideas") -> None:
        super().__init__()
        self.last, self.calls, self.at, self.where, self.message = nn.Linear(6, 3), 0, at, where, message

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        if self.training and self.calls == self.at and multiprocessing.current_process().name.endswith(self.where):
            raise RuntimeError(self.message)
        return self.last(x)


def fails_in_one_worker() -> nn.Module:
    return Failing(20, "-1")


def fails_in_all_workers() -> nn.Module:
    return Failing(20, "")


def fails_unprintably() -> nn.Module:
    return Failing(20, "", "no file img_\udcff.png")


def fails_when_it_is_built_there() -> nn.Module:
    if multiprocessing.parent_process() is not None:
        os._exit(3)
    return net()


class Augmented(Dataset[tuple[Tensor, int]]):
    """Its augmentation uses the generators of Python and NumPy."""

    def __len__(self) -> int:
        return 40

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        return torch.tensor([random.random(), np.random.rand(), 0.0, 0.0, 0.0, float(i)]), i % 3


def augmented() -> tuple[Augmented, Augmented]:
    return Augmented(), Augmented()


def marker(name: str) -> Path:
    """A file in the current directory, which the workers share with the test."""
    return Path(name)


def slow_to_load() -> object:
    marker("loading").touch()
    time.sleep(60)
    return data()


def score_that_waits(output: Tensor, target: Tensor) -> tuple[float, int]:
    """A score that waits until the test lets the evaluation continue; in the trial before the run it does not."""
    if not marker("tried").exists():
        marker("tried").touch()
        return 0.0, len(target)
    marker("evaluating").touch()
    while not marker("go on").exists():
        time.sleep(0.01)
    return 0.0, len(target)


class FailsLater:
    """A score that raises when it is called for the `at`-th time."""

    def __init__(self, at: int) -> None:
        self.at, self.calls = at, 0

    def __call__(self, output: Tensor, target: Tensor) -> tuple[float, int]:
        self.calls += 1
        return self.calls // (self.at - self.calls), len(target)


@dataclass(frozen=True)
class Raises(Algorithm):
    """Its workers fail at their third gradient."""

    name: ClassVar[str] = "raises"
    summary: ClassVar[str] = "fails"
    buffers: ClassVar[Mapping[str, Buffer]] = {"x": SHARED, "snapshot": SNAPSHOT}

    def worker(self, w: View) -> Steps:
        for _ in range(2):
            w.pull()
            w.push((yield Gradient(at=w.snapshot)))
        yield Gradient(at=w.snapshot)
        raise RuntimeError("out of ideas")


def slow_to_evaluate() -> Data:
    train, test = data()
    return Data("slow", TensorSplit(*train), TensorSplit(*test), (6,), 3, "vector", score=score_that_waits)


class Count(nn.Module):
    """Every gradient element is 1: with lr 1 each parameter is minus the number of updates, exactly."""

    def __init__(self) -> None:
        super().__init__()
        self.large, self.small = nn.Parameter(torch.zeros(20_000)), nn.Parameter(torch.zeros(77))
        self.register_buffer("batches", torch.tensor(0))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.batches += 1
        return self.large.sum() + self.small.sum() + 0 * x.sum()


def output_itself(output: Tensor, target: Tensor) -> Tensor:
    return output


def no_score(output: Tensor, target: Tensor) -> tuple[float, int]:
    return 0.0, 1


def ones(worker: hogwild.Worker) -> Tensor:
    return worker.model(torch.ones(2, 6)).sum()


def draw(worker: hogwild.Worker) -> None:
    """Writes its first random numbers to the bias of row `rank`."""
    numbers = torch.rand(3)
    marker(f"draw-{worker.rank}").write_text(str(numbers.tolist()))
    worker.step(ones(worker))


def do_nothing(worker: hogwild.Worker) -> None:
    pass


def fail_after_five(worker: hogwild.Worker) -> None:
    for _ in range(5):
        worker.step(ones(worker))
    raise RuntimeError("own loop failed")


def second_fails(worker: hogwild.Worker) -> None:
    for _ in range(50):
        worker.step(ones(worker))
    if worker.rank == 1:
        raise RuntimeError("own loop failed")


def die_in_the_locked_section(worker: hogwild.Worker) -> None:
    """Worker 0 is killed while it holds the lock of the model; worker 1 needs it after that."""
    if worker.rank == 0:
        worker.step(ones(worker))
        worker._worker.world.control.begin_push(0, True)
        marker("locked").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    while not marker("locked").exists():
        time.sleep(0.005)
    for _ in range(10):
        worker.step(ones(worker))
