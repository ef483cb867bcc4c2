"""Simulated runs of several boxes for the figures: how long a run takes to an accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hogwild.boxes.simulation import BoxSimulation
from hogwild.boxes.simulator import clock_of
from hogwild.config import Config
from hogwild.drivers.instruments.left_out import refuse
from hogwild.drivers.job.batches import Batches, FullBatches, ShardedOrder
from hogwild.kernels import weighted_sum
from hogwild.reproduce.training import error, images, job_of
from hogwild.shared.world import World
from hogwild.tasks.classes import class_numbers
from hogwild.tasks.data import Data
from hogwild.tasks.sharding import parts

EVERY = 2.0  # units of time between two evaluations


@dataclass
class OfBox(FullBatches):
    """The batches of one box: its workers are those from `first` on of `whole`."""

    whole: ShardedOrder
    first: int

    def __post_init__(self) -> None:
        self.samples, self.batch_size, self.smallest = self.whole.samples, self.whole.batch_size, self.whole.smallest

    def begin(self, ticket: int, rank: int, completed: int) -> Tensor:
        return self.whole.begin(ticket, self.first + rank, completed)


def orders_of(config: Config, data: Data, shard: str) -> list[Batches]:
    """The batches of each box. `shard` divides the training set among the boxes, and each part is divided among the
    workers of its box at random.
    """
    classes = class_numbers(data, f"shard {shard}").numpy()
    shares: list[Tensor] = []
    for b, part in enumerate(parts(shard, len(data.train), config.boxes, config.seed, classes)):
        own = parts("iid", len(part), config.workers, config.seed + b)
        shares += [torch.from_numpy(part[index]) for index in own]
    whole = ShardedOrder(shares, config.gradient_samples, config.seed)
    return [OfBox(whole, b * config.workers) for b in range(config.boxes)]


def time_to(
    *, data: str, samples: int, tests: int, accuracy: float, travel: float, between_shard: str = "none", **values: Any
) -> dict[str, Any]:
    """Trains until the mean of the boxes has that test accuracy, or no ticket is left. `travel`: the time in which a
    model of float32 travels, in units of a gradient's mean duration. The mean is looked at every EVERY units.
    `between_shard`: how the training set is divided among the boxes.

    Returns the time (None if the accuracy was not reached), the accuracy at the end, updates, exchanges, and models
    sent per box.
    """
    part = images(data, samples, tests)
    job = job_of(part, {"clock": "gamma", **values})
    torch.set_num_threads(1)
    config, module = job.config, job.build()
    worlds = [World.create(module, job.algorithm.keeps(), config.workers) for _ in range(config.boxes)]
    model = worlds[0].arena.tensor("x")
    object.__setattr__(config, "bandwidth", model.nbytes / travel if travel else 0.0)
    modules = [job.build() for _ in worlds]
    orders = None if between_shard == "none" else orders_of(config, part, between_shard)
    simulation = BoxSimulation(job, worlds, modules, clock_of(config), refuse, orders)
    mean, boxes = torch.empty_like(model), [box.x for box in simulation.boxes]
    place = World.create(module, {"x": job.algorithm.keeps()["x"]}, 1)

    def reached() -> float:
        weighted_sum(mean, boxes, [1 / len(boxes)] * len(boxes))
        for parameter, view in zip(module.parameters(), place.layout.views(mean), strict=True):
            parameter.data.copy_(view)
        return 1 - error(module, part, part.test)

    found, looked = None, 0.0
    while found is None and (push := simulation.advance()) is not None:
        if push.time - looked < EVERY:
            continue
        looked = push.time
        if reached() >= accuracy:
            found = push.time
    return {
        "time": found,
        "accuracy": reached(),
        "updates": sum(box.version for box in simulation.boxes),
        "exchanges": simulation.between.exchanges,
        "models": simulation.moved_bytes / model.nbytes / len(boxes),
    }
