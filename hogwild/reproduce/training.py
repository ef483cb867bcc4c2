"""Simulated training for the figures: the real algorithm files, epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor, nn

from hogwild.config import Config
from hogwild.drivers.checkpoints.state import State
from hogwild.drivers.instruments.evaluation import evaluate
from hogwild.drivers.job.job import Job, make_job
from hogwild.drivers.job.world import world_of
from hogwild.drivers.simulated import clocks
from hogwild.drivers.simulated.run import SimulatedRun
from hogwild.drivers.simulated.simulator import simulated
from hogwild.tasks import build_model, load
from hogwild.tasks.data import Data, Split
from hogwild.tasks.splits import RatingsSplit

GUESSED = 10_000  # targets whose variance is taken
LOST = 10.0  # a run has diverged if its mean loss is this many times that of guessing


class Part(Split):
    """The first `count` samples of a split."""

    def __init__(self, whole: Split, count: int) -> None:
        self.whole, self.count = whole, min(count, len(whole))

    def __len__(self) -> int:
        return self.count

    def batch(self, index: Tensor, *, train: bool) -> tuple[Any, Any]:
        return self.whole.batch(index, train=train)


def part_of(whole: Split, count: int) -> Split:
    """The first `count` samples; of ratings as such, since their model needs the numbers of users and items."""
    if type(whole) is RatingsSplit:
        return RatingsSplit(whole.pairs[:count], whole.values[:count], whole.users, whole.items)
    return Part(whole, count)


@lru_cache(maxsize=1)
def images(name: str, train: int, test: int) -> Data:
    """The first samples of both splits of the data set `name`."""
    data = load(name, download=False)
    return Data(**{**vars(data), "train": part_of(data.train, train), "test": part_of(data.test, test)})


def job_of(data: Data, values: Mapping[str, Any]) -> Job:
    """A simulated run on `data`. `values` are fields of Config."""
    config = Config.from_values({"data": data.name, "workers": 1, "clock": "round-robin", **values})
    return make_job(config, data, partial(build_model, config.model))


def begin(job: Job, module: nn.Module | None = None) -> SimulatedRun:
    """A simulation before its first push, with the parameters of `module` (default: of a new model)."""
    torch.set_num_threads(1)
    config = job.config
    module = job.build() if module is None else module
    world = world_of(job, module, torch.device("cpu"), config.workers)
    world.control.assign(0, job.total_tickets, [])
    clock = clocks.parse(str(config.clock), config.workers, config.seed, config.straggler)
    return simulated(job, world, job.build(), clock)


def read(simulation: SimulatedRun, module: nn.Module) -> nn.Module:
    """`module` with the parameters of the master."""
    State.of(simulation.world, module, simulation.job.algorithm).load_module(module)
    return module


def train(
    *, data: str, samples: int, tests: int, every: float = 1.0, on_train: bool = False, **values: Any
) -> list[dict[str, Any]]:
    """One dict per evaluation, each `every` epochs: epoch, loss (mean since the last one), test_error, train_error.

    If the run diverges (the loss is not finite, or LOST times that of guessing), it ends early, and the last dict has
    no test error.
    """
    part = images(data, samples, tests)
    job = job_of(part, values)
    simulation, module = begin(job), job.build()
    span = max(round(every * job.order.tickets_per_epoch), 1)
    course: list[dict[str, Any]] = []
    losses: list[float] = []
    lost = LOST * loss_of_guessing(part)
    while (push := simulation.advance()) is not None:
        losses.append(push.loss)
        if simulation.computed % span and simulation.computed < job.total_tickets:
            continue
        point: dict[str, Any] = {"epoch": simulation.computed / job.order.tickets_per_epoch}
        loss = sum(losses) / len(losses)
        losses.clear()
        if not loss < lost:
            return [*course, {**point, "loss": None, "test_error": None, "train_error": None}]
        read(simulation, module)
        point |= {"loss": loss, "test_error": error(module, part, part.test), "train_error": None}
        course.append(point | ({"train_error": error(module, part, part.train)} if on_train else {}))
    return course


def loss_of_guessing(data: Data) -> float:
    """Of a model that knows nothing: ln of the number of classes; for ratings their variance."""
    if data.classes > 1:
        return math.log(data.classes)
    _, values = data.train.batch(torch.arange(min(len(data.train), GUESSED)), train=False)
    return float(values.var())


def error(module: nn.Module, data: Data, split: Split) -> float:
    """Fraction of a split that is classified wrongly."""
    return 1 - evaluate(module, data, split).value
