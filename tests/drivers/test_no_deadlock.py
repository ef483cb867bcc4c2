"""Pair averages at the highest rate: no deadlock, and a stopped or killed worker does not slow down the others."""

from __future__ import annotations

import math
import os
import signal
import statistics
import time
from multiprocessing.connection import Connection

import psutil
import pytest
import torch
from replica_processes import WAIT_S, Flat, Team, context, hear, held, running
from slow import slow

from hogwild.buffers import SHARED, Buffer, Scope
from hogwild.drivers.view.worker_view import WorkerView
from hogwild.kernels.control import Control, Phase
from hogwild.rules import Topology
from hogwild.shared.world import World

PROCESSES, N = 4, 1021  # one chunk, so all workers need the same few locks
GRAPHS = {
    "skip": Topology("complete"),
    "blocking": Topology("complete"),
    "bipartite": Topology("bipartite", active_side=True),
}


def meet(world: World, rank: int, order: str, exchanges: int, line: Connection) -> None:
    """`exchanges` pair averages with peers drawn as in ad-psgd; the passive side does nothing."""
    torch.set_num_threads(1)
    view = WorkerView(world, rank, {"x": SHARED, "replica": Buffer(Scope.REPLICA, locks=True)})
    assert world.control.join(rank, 0, WAIT_S)
    line.send("ready")
    line.recv()
    for step in range(exchanges):
        world.control.restore_steps(rank, step)  # the draw depends on the worker's step
        peer = view.peer(GRAPHS[order])
        if peer >= 0:
            view.average_with(peer, "skip" if order == "skip" else "blocking")
    counts = world.control.stats(rank)
    line.send((int(counts["averaged"]), int(counts["skipped"])))


@pytest.mark.parametrize("exchanges", [10_000, pytest.param(1_000_000, marks=[pytest.mark.slow])])
@pytest.mark.parametrize("order", list(GRAPHS))
@pytest.mark.timeout(600)
def test_exchanges_without_end(order: str, exchanges: int):
    world = World.create(Flat(N), {"x": SHARED, "replica": Buffer(Scope.REPLICA, locks=True)}, PROCESSES)
    for rank in range(PROCESSES):
        world.arena.tensor("replica", rank).normal_(generator=torch.Generator().manual_seed(rank))
    before, active = held(world, "replica"), PROCESSES // (2 if order == "bipartite" else 1)
    lines, processes = [], []
    for rank in range(PROCESSES):
        ours, theirs = context.Pipe()
        arguments = (world, rank, order, exchanges // active, theirs)
        processes.append(context.Process(target=meet, args=arguments, daemon=True))
        processes[-1].start()
        lines.append(ours)
    try:
        assert [hear(line) for line in lines] == ["ready"] * PROCESSES
        began = time.monotonic()
        for line in lines:
            line.send("go")
        counts = [hear(line, WAIT_S + exchanges / 2500) for line in lines]
        took = time.monotonic() - began
    finally:
        for process in processes:
            process.kill()
            process.join(WAIT_S)
    averaged, skipped = (sum(column) for column in zip(*counts, strict=True))
    error = held(world, "replica") - before
    print(
        f"\n{order}: {averaged:,} averaged, {skipped:,} skipped in {took:.1f} s, rms {error.square().mean().sqrt():.1e}"
    )
    assert averaged + skipped == exchanges
    assert skipped == 0 or order == "skip"
    assert averaged > exchanges / 10
    assert float(error.abs().max()) < 20 * torch.finfo(torch.float32).eps * math.sqrt(averaged)


def stop_in_gradient(control: Control, rank: int, pid: int) -> None:
    """Stops a process (SIGSTOP) that computes a gradient, and so holds no lock."""
    deadline = time.monotonic() + WAIT_S
    while True:
        assert time.monotonic() < deadline, "it never computes a gradient"
        os.kill(pid, signal.SIGSTOP)
        while psutil.Process(pid).status() != psutil.STATUS_STOPPED:
            time.sleep(0.001)
        if control.stats(rank)["phase"] == Phase.GRADIENT:
            return
        os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize(("windows", "pushes"), [(4, 60), pytest.param(20, 300, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("name", "options"), [("ad-psgd", {}), slow(("easgd", {"period": 1}))])
def test_a_stopped_worker_keeps_nobody_waiting(name: str, options: dict[str, object], windows: int, pushes: int):
    """Each of the others makes so many pushes while the last worker is stopped. Printed, and no part of the test: how
    long that takes, relative to the time when it works.
    """
    team = Team(name, options, pause_s=0.005)
    world = team.world()
    control, others = world.control, range(team.workers - 1)

    def window() -> float:
        began = time.monotonic()
        goals = [control.steps(rank) + pushes for rank in others]
        while any(control.steps(rank) < goal for rank, goal in zip(others, goals, strict=True)):
            assert time.monotonic() < began + WAIT_S, "the others wait for a stopped worker"
            time.sleep(0.001)
        return time.monotonic() - began

    ratios = []
    with running(team, world, 1_000_000) as (processes, _):
        for _ in range(windows):
            free = window()
            stop_in_gradient(control, team.workers - 1, processes[-1].pid)
            done = control.steps(team.workers - 1)
            ratios.append(free / window())
            assert control.steps(team.workers - 1) == done
            os.kill(processes[-1].pid, signal.SIGCONT)
    print(f"\n{name}: pushes of the others while one is stopped {statistics.median(ratios):.3f} ({sorted(ratios)})")
