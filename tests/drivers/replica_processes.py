"""Real processes that run an algorithm on artificial gradients, and record the gradients that they applied."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

import torch
from torch import Tensor, nn

from hogwild.algorithms import REGISTRY, Algorithm
from hogwild.algorithms.base import Barrier
from hogwild.drivers.fork_server import PRELOAD
from hogwild.drivers.view.worker_view import WorkerView
from hogwild.kernels.control import Control, Phase
from hogwild.rules import Access
from hogwild.shared.world import World

WAIT_S = 60.0
LR = 0.01
POOL = 8  # gradients from which a worker draws, with either sign

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(PRELOAD)


class Flat(nn.Module):
    def __init__(self, n: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n, generator=torch.Generator().manual_seed(99)))


@dataclass(frozen=True)
class Team:
    """An algorithm on `workers` processes; each gradient takes `pause_s`.

    `lag`: a gradient of worker 0 takes until every other worker has made so many pushes, or all of them wait for it.
    """

    name: str
    options: Mapping[str, object] = field(default_factory=dict)
    workers: int = 4
    n: int = 12_293  # four chunks, the last one short
    access: Access = Access.ATOMIC
    pause_s: float = 0.0
    lag: int = 0

    @property
    def algorithm(self) -> Algorithm:
        return REGISTRY[self.name](**self.options)

    def world(self) -> World:
        return World.create(Flat(self.n), self.algorithm.keeps(), self.workers)


def gradients(rank: int, n: int) -> Tensor:
    """[POOL, n]"""
    return torch.randn(POOL, n, generator=torch.Generator().manual_seed(1000 + rank))


def stay_behind(control: Control, workers: int, lag: int) -> None:
    """Until each worker but worker 0 has made `lag` pushes from now on, or all of them wait at a barrier for it."""
    others = range(1, workers)
    goals = [control.steps(rank) + lag for rank in others]
    while any(control.steps(rank) < goal for rank, goal in zip(others, goals, strict=True)):
        if all(control.arrived(rank) > control.arrived(0) for rank in others):
            return
        time.sleep(0.001)


def work(team: Team, world: World, rank: int, count: int, line: Connection) -> None:
    """`count` steps; sends, for each gradient of the pool, the sum over its applications of +-(own mass)."""
    torch.set_num_threads(1)
    algorithm, control = team.algorithm, world.control
    view = WorkerView(
        world, rank, algorithm.keeps(), access=team.access, barriers_per_round=algorithm.barriers_per_round, seed=5
    )
    view.lr = LR
    pool = gradients(rank, world.layout.parameters)
    signed = {1: pool, -1: -pool}
    choice = torch.Generator().manual_seed(rank)
    draws = torch.randint(POOL, (count,), generator=choice).tolist()
    signs = (2 * torch.randint(2, (count,), generator=choice) - 1).tolist()
    applied = torch.zeros(POOL, dtype=torch.float64)
    assert control.join(rank, algorithm.barriers_per_round, WAIT_S)
    steps = algorithm.worker(view)
    next(steps)
    line.send("ready")
    line.recv()
    for k, sign in zip(draws, signs, strict=True):
        control.set_phase(rank, Phase.GRADIENT)
        time.sleep(team.pause_s)
        if team.lag and not rank:
            stay_behind(control, team.workers, team.lag)
        control.set_phase(rank, Phase.UPDATE)
        applied[k] += sign * (view.mailbox.mass if team.name == "sgp" else 1.0)
        request = steps.send([signed[sign][k]])
        while isinstance(request, Barrier):
            generation = control.arrive(rank)
            assert control.wait_barrier(rank, generation, WAIT_S), "the others do not start"
            view.rounds.generation = generation
            request = steps.send(None)
    control.leave(rank)
    counts = control.stats(rank)
    line.send((applied.tolist(), int(counts["averaged"]), int(counts["skipped"])))


@contextmanager
def running(team: Team, world: World, count: int) -> Iterator[tuple[list[BaseProcess], list[Connection]]]:
    """Starts all workers together; none outlives the context."""
    lines, processes = [], []
    for rank in range(team.workers):
        ours, theirs = context.Pipe()
        processes.append(context.Process(target=work, args=(team, world, rank, count, theirs), daemon=True))
        processes[-1].start()
        lines.append(ours)
    try:
        assert [hear(line) for line in lines] == ["ready"] * team.workers
        for line in lines:
            line.send("go")
        yield processes, lines
    finally:
        for process in processes:
            process.kill()
            process.join(WAIT_S)


def hear(line: Connection, timeout_s: float = WAIT_S) -> object:
    assert line.poll(timeout_s), "a process hangs"
    return line.recv()


def run(team: Team, world: World, count: int, timeout_s: float = WAIT_S) -> tuple[Tensor, int]:
    """Runs `count` steps of each worker; returns the sum of the applied gradients [n] in float64, and the skipped
    chunks.
    """
    with running(team, world, count) as (_, lines):
        told = [hear(line, timeout_s) for line in lines]
    total = torch.zeros(world.layout.parameters, dtype=torch.float64)
    for rank, (applied, _, _) in enumerate(told):
        total -= LR * torch.tensor(applied, dtype=torch.float64) @ gradients(rank, world.layout.parameters).double()
    return total, sum(skipped for _, _, skipped in told)


def held(world: World, *names: str) -> Tensor:
    """Sum in float64 [n] of those buffers, over all workers if there is one per worker."""
    total = torch.zeros(world.layout.parameters, dtype=torch.float64)
    for name in names:
        shared = world.arena.layout.specs[name].scope == "shared"
        for rank in range(1 if shared else world.workers):
            total += world.layout.views(world.arena.tensor(name, rank))[0].double()
    return total
