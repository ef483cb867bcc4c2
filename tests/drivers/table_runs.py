"""A model with two tables and a dense part, its data, and runs of it in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hogwild.config import Config
from hogwild.drivers.choice import driver_for
from hogwild.drivers.job.job import make_job
from hogwild.runs.console import Console
from hogwild.runs.directory import RunDirectory
from hogwild.tasks.data import Data
from hogwild.tasks.objectives import mean_squared_error, sum_squared_error
from hogwild.tasks.splits import TensorSplit

ITEMS, TAGS, DIM = 11, 7, 3


class Pairs(nn.Module):
    """A table that one layer looks up twice, one of bags with padding and their mean, and a dense layer behind them."""

    def __init__(self) -> None:
        super().__init__()
        self.items = nn.Embedding(ITEMS, DIM, sparse=True)
        self.tags = nn.EmbeddingBag(TAGS, DIM, mode="mean", sparse=True, padding_idx=0)
        self.head = nn.Linear(DIM, 1)

    def forward(self, rows: Tensor) -> Tensor:
        both = self.items(rows[:, 0]) * self.items(rows[:, 1])
        return self.head(both + self.tags(rows[:, 2:]))


class NotFinite(Pairs):
    """Gives a gradient that is not finite, of the dense part alone or of one table alone, where an item is 10."""

    dense = True

    def forward(self, rows: Tensor) -> Tensor:
        output = super().forward(rows)
        bad = torch.where((rows[:, 0] == ITEMS - 1).any(), torch.inf, 1.0)
        part = self.head.bias if self.dense else self.tags(rows[:, 2:])
        return output + (part.sum() * 0 * bad).nan_to_num(0) + Poison.apply(part, bad).sum() * 0


class Poison(torch.autograd.Function):
    """Passes on; backward with a gradient that is not finite if `bad` is infinite."""

    @staticmethod
    def forward(ctx: Any, part: Tensor, bad: Tensor) -> Tensor:
        ctx.save_for_backward(bad)
        return part.clone()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        return g + (ctx.saved_tensors[0] - 1 if torch.isinf(ctx.saved_tensors[0]) else 0), None


class OfTable(NotFinite):
    dense = False


def pairs(_: Data | None = None) -> nn.Module:
    return Pairs()


def data(samples: int = 93) -> Data:
    """Rows of low numbers come more often; a bag has one or two tags."""
    generator = torch.Generator().manual_seed(4)
    uniform = torch.rand(samples, 4, generator=generator).square()
    inputs = (uniform * torch.tensor([ITEMS, ITEMS, TAGS - 1, TAGS])).long() + torch.tensor([0, 0, 1, 0])
    targets = torch.randn(samples, generator=generator)
    split = TensorSplit(inputs, targets)
    return Data(
        "pairs", split, TensorSplit(inputs[:31], targets[:31]), (4,), 1, "vector", metric="mean_squared_error",
        loss=mean_squared_error, score=sum_squared_error,
    )  # fmt: skip


def run(
    folder: Path, factory: Any = pairs, dataset: Data | None = None, /, **values: Any
) -> tuple[dict[str, Any], Any]:
    """(summary, driver) of a run; without a clock in worker processes."""
    values = {"batch_size": 10, "lr": 0.2, "quiet": True, "out": str(folder), **values}
    values |= {} if {"epochs", "updates"} & values.keys() else {"epochs": 3}
    config = Config.from_values(values)
    directory = RunDirectory.create(config) if config.resume is None else RunDirectory.resume(config)
    try:
        with Console(quiet=True, log=directory.log) as console:
            driver = driver_for(config)(make_job(config, dataset or data(), factory), directory, console)
            return driver.run(), driver
    finally:
        directory.close()


def tables(driver: Any) -> dict[str, Tensor]:
    """All that the run's memory has of the tables, by the names of the buffers, x included."""
    memory, arena = driver.world.tables, driver.world.arena
    rows = {name: memory.table(arena, name) for name in memory.shapes}
    return {name: tensor.clone() for name, tensor in {**rows, **memory.saved(arena)}.items()}
