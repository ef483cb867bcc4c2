"""A run of one worker in the process of the test: its final world, and its messages to the parent."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from hogwild.config import Config
from hogwild.drivers.job.job import make_job
from hogwild.drivers.processes import worker as workers
from hogwild.drivers.processes.context import WorkerContext
from hogwild.shared.world import World
from hogwild.tasks.data import Data
from hogwild.tasks.splits import TensorSplit


def net(_: Data | None = None) -> nn.Module:
    return nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.Tanh(), nn.Linear(7, 3))


def data() -> Data:
    generator = torch.Generator().manual_seed(3)
    inputs, targets = torch.randn(96, 5, generator=generator), torch.randint(3, (96,), generator=generator)
    return Data("points", TensorSplit(inputs, targets), TensorSplit(inputs, targets), (5,), 3, "vector")


def train(
    algorithm: str,
    folder: Path,
    defers: bool,
    *,
    batch_size: int = 8,
    cuda_graph: bool = False,
    device: str = "cpu",
    model: Callable[[Data], nn.Module] = net,
    **options: object,
) -> tuple[World, list[object]]:
    """Two epochs; returns the worker's world and the kinds of its messages to the parent."""
    torch.manual_seed(0)
    config = Config(
        data="digits",
        algorithm=algorithm,
        workers=1,
        batch_size=batch_size,
        epochs=2,
        lr=0.1,
        options=options,
        record=True,
        cuda_graph=cuda_graph,
    )
    job = make_job(config, data(), model)
    world = World.create(job.build(), job.algorithm.keeps(), 1, device=device)
    world.control.assign(0, job.total_tickets, [])
    heard, told = multiprocessing.Pipe(duplex=False)
    worker = workers.Worker(job, WorkerContext(world, 0, told, folder / "0.log", None))
    worker.view.updates.defers = defers
    try:
        worker.run()
    finally:
        worker._schedule._file.close()
    events = []
    while heard.poll():
        events.append(heard.recv()[0])
    return world, events
