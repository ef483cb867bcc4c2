"""Conservation under concurrent processes: sums, whole vectors, consistent copies."""

from __future__ import annotations

import itertools
import multiprocessing
import time
from collections.abc import Callable

import pytest
import torch
from slow import rest_is_slow

from hogwild.algorithms import REGISTRY
from hogwild.drivers.view.worker_view import WorkerView
from hogwild.rules import Access
from hogwild.shared.world import World

WAIT_S = 60.0
COPIES = 50
N = 20_000  # two stripes: smaller than a page of either


def vector(n: int) -> torch.nn.Module:
    module = torch.nn.Linear(n, 1, bias=False)
    torch.nn.init.zeros_(module.weight)
    return module


def wait_until(true: Callable[[], bool], complaint: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < deadline, complaint
        time.sleep(0.001)


def push_ones(world: World, rank: int, access: Access, pushes: int | None) -> None:
    """`pushes` times x <- x + 1, as an update like any other: through the gate. None: until the run is stopped."""
    torch.set_num_threads(1)
    view = WorkerView(world, rank, REGISTRY["asgd"].buffers, access=access)
    view.lr = 1.0
    g = [-torch.ones(1, N)]
    assert world.control.join(rank, 0, WAIT_S)
    view.pull()
    for _ in itertools.count() if pushes is None else range(pushes):
        while not (entered := world.control.enter(rank, 1.0)) and not world.control.stopping:
            pass
        if not entered or (pushes is None and world.control.stopping):
            break
        view.push(g)
        world.control.exit(rank)
    world.control.leave(rank)


def start(world: World, access: Access, pushes: int | None) -> list[multiprocessing.process.BaseProcess]:
    """Starts all workers behind the closed gate and opens it when all are ready, so that they run concurrently."""
    context = multiprocessing.get_context("forkserver")
    world.control.close_gate(0)
    processes = [context.Process(target=push_ones, args=(world, rank, access, pushes)) for rank in range(world.workers)]
    for process in processes:
        process.start()
    ranks = range(world.workers)
    wait_until(lambda: all(world.control.stats(rank)["alive"] for rank in ranks), "the workers do not start")
    world.control.open_gate()
    return processes


def join(processes: list[multiprocessing.process.BaseProcess]) -> None:
    for process in processes:
        process.join(WAIT_S)
        assert process.exitcode == 0, "a worker hangs or failed"


@pytest.mark.parametrize("workers", rest_is_slow([2, 4], {4}))
@pytest.mark.parametrize("access", list(Access))
def test_two_thousand_pushes_per_worker(access: Access, workers: int):
    """Sums of ones are exact in float32: under every policy but racing the deficit is exactly zero."""
    pushes = 2000
    world = World.create(vector(N), REGISTRY["asgd"].buffers, workers)
    join(start(world, access, pushes))
    x = world.layout.views(world.arena.tensor("x"))[0]
    expected = workers * pushes
    assert torch.isfinite(x).all()
    assert world.control.version == expected
    assert sum(sum(world.control.delays(rank)) for rank in range(workers)) == expected
    if access is Access.RACING:
        assert (x <= expected).all()
        assert (x >= pushes / 100).all()
        lost = 1.0 - x.mean().item() / expected
        print(f"racing, {workers} workers: {lost:.2%} of the updates lost")
    else:
        assert (x == expected).all(), f"{access.value}: {(x != expected).sum()} elements lost updates"


@pytest.mark.parametrize("access", [Access.ATOMIC, Access.LOCKED, Access.STRIPED])
def test_a_copy_behind_the_gate_is_never_torn(access: Access):
    """Every update adds one to every element; so a consistent copy is constant, and equals the version."""
    world = World.create(vector(N), REGISTRY["asgd"].buffers, 3)
    processes = start(world, access, pushes=None)
    x = world.layout.views(world.arena.tensor("x"))[0]
    version = 0
    for _ in range(COPIES):
        wait_until(lambda: world.control.version > version + 10, "the workers do not push")  # noqa: B023
        world.control.close_gate(0)
        wait_until(world.control.drained, "the gate does not drain")
        copy, version = x.clone(), world.control.version
        world.control.open_gate()
        assert (copy == version).all(), f"torn: {copy.min()} to {copy.max()} at version {version}"
    world.control.stop()
    join(processes)
    assert (x == world.control.version).all()
