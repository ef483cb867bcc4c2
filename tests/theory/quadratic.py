"""A diagonal quadratic through both drivers: each coordinate is an independent run with its own curvature.

f(x) = sum_i a_i x_i^2 / 2,   x = 1 at the start;   g = a x exactly, in float64
"""

from __future__ import annotations

import os
import select
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import hogwild
from hogwild.config import Config
from hogwild.drivers.job.job import make_job
from hogwild.drivers.simulated import clocks
from hogwild.drivers.simulated.simulator import simulated
from hogwild.shared.world import World
from hogwild.tasks import Data, TensorSplit

SAMPLES = 4096  # samples of an epoch, all equal
PATIENCE_S = 60.0
COMMON: Mapping[str, Any] = {"dtype": "float64", "quiet": True}
OF_BATCHES: Mapping[str, Any] = {"batch_size": 1, "eval_every": 0}


class Diagonal(nn.Module):
    """A model with the parameters x [n] only."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.x = nn.Parameter(torch.ones(n, dtype=torch.float64))

    def forward(self, _inputs: Tensor) -> Tensor:
        return self.x


@dataclass(frozen=True)
class Quadratic:
    """The loss, with a data set and a model for it."""

    curvatures: Sequence[float]
    noise: Tensor | None = None  # [samples, n]

    def __call__(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        loss = (torch.tensor(self.curvatures, dtype=torch.float64) * x**2).sum() / 2
        return loss if self.noise is None else loss + (x * noise).sum()

    def data(self) -> Data:
        noise = torch.zeros(SAMPLES, 1) if self.noise is None else self.noise
        split = TensorSplit(torch.zeros(len(noise), 1), noise)
        return Data("diagonal quadratic", split, split, (1,), 0, "vector", loss=self)

    def model(self, _data: Data | None = None) -> Diagonal:
        return Diagonal(len(self.curvatures))


@dataclass(frozen=True)
class Trace:
    """The trace of a run: x after each gradient, from x_0 on; the snapshots that pushes wrote; delays; virtual times.

    `behind`: the number of versions that each worker's last snapshot is behind at the end.
    """

    x: Tensor
    snapshot: Tensor
    delays: list[int]
    times: list[float]
    behind: list[int]


def simulate(
    algorithm: str,
    workers: int,
    curvatures: Sequence[float],
    pushes: int,
    clock: str | clocks.Clock = "round-robin",
    noise: Tensor | None = None,
    **options: Any,
) -> Trace:
    """The trace of `pushes` gradients in the simulator."""
    task = Quadratic(curvatures, noise)
    spec = clock if isinstance(clock, str) else "round-robin"
    config = Config.from_values(
        {
            **COMMON,
            **OF_BATCHES,
            "algorithm": algorithm,
            "workers": workers,
            "updates": pushes,
            "clock": spec,
            **options,
        }
    )
    job = make_job(config, task.data(), task.model)
    world = World.create(job.build(), job.algorithm.keeps(), workers, dtype=torch.float64)
    world.control.assign(0, job.total_tickets, [])
    if isinstance(clock, str):
        clock = clocks.parse(clock, workers, config.seed, {})
    simulation = simulated(job, world, job.build(), clock)
    x = world.layout.views(world.arena.tensor("x"))[0]
    xs, snapshots, delays, times = [x.clone()], [], [], []
    for _ in range(pushes):
        push = simulation.advance()
        assert push is not None
        view = simulation.workers[push.rank].view
        xs.append(x.clone())
        snapshots.append(world.layout.views(view.snapshot)[0].clone())
        delays.append(view.outcome.delay)
        times.append(push.time)
    behind = [world.control.version - world.control.pulled_version(rank) for rank in range(workers)]
    return Trace(torch.stack(xs), torch.stack(snapshots), delays, times, behind)


@dataclass(frozen=True)
class InTurn:
    """The loop of a real worker: it waits for the token, takes one step, and passes the token to the next rank."""

    task: Quadratic
    folder: Path
    pushes: int  # number of pushes of all workers together

    def __call__(self, worker: hogwild.Worker) -> None:
        mine, next_one = (
            os.open(self.folder / str(rank % worker.workers), os.O_RDWR) for rank in (worker.rank, worker.rank + 1)
        )
        snapshots = []
        for _ in range(worker.rank, self.pushes, worker.workers):
            assert select.select([mine], [], [], PATIENCE_S)[0], f"worker {worker.rank} never gets the token"
            os.read(mine, 1)
            worker.step(self.task(worker.model(None)))
            snapshots.append(worker.model.x.detach().clone())
            os.write(next_one, b".")
        torch.save(torch.stack(snapshots), self.folder / f"{worker.rank}.pt")


def train(
    folder: Path, algorithm: str, workers: int, curvatures: Sequence[float], pushes: int, **options: Any
) -> tuple[Tensor, Tensor]:
    """(x at the end, snapshots after each push) of `workers` real processes that push in turn.

    A token that is passed through FIFOs fixes the order, so nothing depends on the speed of a process.
    """
    task, token_folder = Quadratic(curvatures), folder / "turns"
    token_folder.mkdir()
    with ExitStack() as stack:
        for rank in range(workers):
            os.mkfifo(token_folder / str(rank))
            line = os.open(token_folder / str(rank), os.O_RDWR)  # a FIFO keeps its data while a process has it open
            stack.callback(os.close, line)
            if rank == 0:
                os.write(line, b".")
        result = hogwild.launch(
            InTurn(task, token_folder, pushes), task.model, algorithm=algorithm, workers=workers, out=str(folder),
            **{**COMMON, **options},
        )  # fmt: skip
    parts = [torch.load(token_folder / f"{rank}.pt") for rank in range(workers)]
    snapshots = torch.stack([parts[push % workers][push // workers] for push in range(pushes)])
    return result.model.x.detach(), snapshots
