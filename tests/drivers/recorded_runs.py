"""Recorded runs of real processes on a small model, and their replays in the simulator.

The processes of a `Crew` are started once and run one recorded run after the other, each as real workers: they map the
run's shared memory, take its tickets and wait at its gate.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hogwild.algorithms import REGISTRY
from hogwild.config import Config
from hogwild.drivers.fork_server import PRELOAD
from hogwild.drivers.instruments import recording
from hogwild.drivers.job.job import Job, make_job
from hogwild.drivers.job.model import shared_buffers
from hogwild.drivers.processes.context import WorkerContext
from hogwild.drivers.processes.worker import Worker
from hogwild.drivers.simulated import clocks
from hogwild.drivers.simulated.run import SimulatedRun
from hogwild.drivers.simulated.simulator import simulated
from hogwild.shared.control import NO_TICKET
from hogwild.shared.world import World
from hogwild.tasks.data import Data
from hogwild.tasks.splits import TensorSplit

WAIT_S = 60.0
BATCHES = 25  # tickets of a run: no multiple of 2 or 3, so the last update of gathered gradients is a partial one
LIVELY = {  # options with which a run this short executes every line of an algorithm
    "period": 2, "period_up": 3, "degree": 2, "momentum": 0.7, "k": 2, "gradients": 2, "outer_every": 2,
    "softsync_n": 1, "modulation": "gradient", "average_rate": 0.1, "delay_limit": 2,
    "distance_limit": 0.05,
}  # fmt: skip

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(PRELOAD)


def points() -> Data:
    generator = torch.Generator().manual_seed(3)
    inputs, targets = torch.randn(BATCHES * 7, 5, generator=generator), torch.arange(BATCHES * 7) % 3
    split = TensorSplit(inputs, targets)
    return Data("points", split, split, (5,), 3, "vector")


def net(_: Data | None = None) -> nn.Module:
    """BatchNorm and dropout, so that batches, buffers and random numbers must be those of the recorded run."""
    return nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.Tanh(), nn.Dropout(0.2), nn.Linear(7, 3))


def options(algorithm: str, workers: int) -> dict[str, Any]:
    fitting = {name: value for name, value in LIVELY.items() if name in REGISTRY[algorithm].options()}
    return {"algorithm": algorithm, "workers": workers, **fitting}


def job_of(model: Any = net, **values: Any) -> Job:
    """One epoch of 25 batches, with a learning rate that differs from ticket to ticket."""
    common = {"data": "digits", "batch_size": 7, "epochs": 1, "lr": 0.1, "weight_decay": 0.01, "dtype": "float64",
              "seed": 5, "schedule": "cosine", "warmup": 0.3}  # fmt: skip
    return make_job(Config.from_values({**common, **values}), points(), model)


def world_of(job: Job) -> World:
    torch.manual_seed(0)
    module = job.build()
    world = World.create(
        module, job.algorithm.keeps(), job.config.workers, dtype=torch.float64,
        shared_buffers=shared_buffers(job.config, module),
    )  # fmt: skip
    world.control.assign(0, job.total_tickets, [])
    return world


@dataclass
class Crew:
    """Processes that wait for a run to work at; each is one worker of it."""

    lines: list[Connection] = field(default_factory=list)

    def record(self, job: Job, folder: Path) -> tuple[World, Path]:
        """The world after a recorded run of the job, and its schedule."""
        world = world_of(job)
        lines = self.lines[: job.config.workers]
        world.control.close_gate(0)
        for rank, line in enumerate(lines):
            line.send((job.payload(job.data.train), world, rank, folder))
        for line in lines:
            assert _heard(line) == "ready"
        world.control.open_gate()
        for line in lines:
            assert _heard(line) == "done"
        return world, merged(job, folder)


def merged(job: Job, folder: Path) -> Path:
    schedule = folder / "schedule.jsonl"
    recording.merge(folder, schedule, recording.head(job.config, lost=False, resumed=False))
    return schedule


def _heard(line: Connection) -> str:
    assert line.poll(WAIT_S), "a worker hangs"
    return line.recv()[0]


def _work(line: Connection) -> None:
    torch.set_num_threads(1)
    while (task := line.recv()) is not None:
        payload, world, rank, folder = task
        try:
            Worker(Job.of(payload), WorkerContext(world, rank, line, folder / f"{rank}.log", None)).run()
        except Exception as error:
            line.send((repr(error),))


@contextmanager
def crew(workers: int) -> Iterator[Crew]:
    """Starts that many processes; none outlives the context."""
    found, processes = Crew(), []
    try:
        for _ in range(workers):
            ours, theirs = context.Pipe()
            processes.append(context.Process(target=_work, args=(theirs,), daemon=True))
            processes[-1].start()
            found.lines.append(ours)
        yield found
    finally:
        for process in processes:
            process.kill()
            process.join(WAIT_S)


class Deaf:
    """The parent's end of a worker's messages, where there is no parent."""

    def send(self, _message: object) -> None:
        """Hears nothing."""


def begun(job: Job, folder: Path) -> tuple[World, list[Worker]]:
    """Real workers in this process, at their first gradient."""
    world = world_of(job)
    contexts = [WorkerContext(world, rank, Deaf(), folder / f"{rank}.log", None) for rank in range(job.config.workers)]
    workers = [Worker(job, context) for context in contexts]
    for worker in workers:
        worker.enter_run()
    return world, workers


def one_gradient(worker: Worker, ticket: int) -> None:
    """The worker computes that batch, and hands the gradient over."""
    job, rank = worker.job, worker.rank
    index = job.order.begin(ticket, rank, worker.tickets.completed(rank))
    inputs, targets = job.data.train.batch(index, train=True)
    began = worker.clock()
    loss, g = worker.compute(inputs.double(), targets, began)
    worker._update(loss, g, len(index), ticket, began)


def scripted(job: Job, folder: Path, order: Callable[[list[int]], int], idle: tuple[int, ...] = ()) -> World:
    """A run of real workers in this process, one gradient at a time: of the rank that `order` chooses among those with
    a ticket, until it chooses -1. Those in `idle` never take a ticket.
    """
    world, workers = begun(job, folder)
    held = [NO_TICKET if worker.rank in idle else world.control.take(worker.rank) for worker in workers]
    while ready := [rank for rank, ticket in enumerate(held) if ticket != NO_TICKET]:
        if (rank := order(ready)) < 0:
            break
        one_gradient(workers[rank], held[rank])
        held[rank] = world.control.take(rank)
    for worker in workers:
        worker.leave_run()
    return world


def replayed(job: Job, schedule: Path) -> SimulatedRun:
    """A replay of the schedule, at its end."""
    world = world_of(job)
    run = simulated(job, world, job.build(), clocks.parse(f"trace:{schedule}", job.config.workers, 5, {}))
    while run.advance() is not None:
        pass
    return run


def differences(one: World, other: World) -> list[str]:
    """Where two worlds differ: buffers that are not the same bit for bit, and counts."""
    found = []
    for name, spec in one.arena.layout.specs.items():
        for rank in range(1 if spec.scope == "shared" else one.workers):
            if not torch.equal(one.arena.tensor(name, rank), other.arena.tensor(name, rank)):
                found.append(f"{name} of {rank}")
    for name in ("version", "gathered", "next", "lr_max"):
        if getattr(one.control, name) != getattr(other.control, name):
            found.append(name)
    for rank in range(one.workers):
        for name in ("steps", "completed", "pulled_version", "delays"):
            if getattr(one.control, name)(rank) != getattr(other.control, name)(rank):
                found.append(f"{name} of {rank}")
    return found
