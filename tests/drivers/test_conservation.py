"""Conservation under concurrent processes: sums, whole vectors, consistent copies."""

from __future__ import annotations

import multiprocessing
import time

import pytest
import torch

from hogwild.algorithms import REGISTRY
from hogwild.drivers.view.worker_view import WorkerView
from hogwild.rules import Access
from hogwild.shared.world import World

WAIT_S = 60.0
N = 20_000  # two stripes: smaller than a page of either


def vector(n: int) -> torch.nn.Module:
    module = torch.nn.Linear(n, 1, bias=False)
    torch.nn.init.zeros_(module.weight)
    return module


def push_ones(world: World, rank: int, access: Access, pushes: int) -> None:
    """`pushes` times x <- x + 1, as an update like any other: through the gate."""
    torch.set_num_threads(1)
    view = WorkerView(world, rank, REGISTRY["asgd"].buffers, access=access)
    view.lr = 1.0
    g = [-torch.ones(1, N)]
    assert world.control.join(rank, 0, WAIT_S)
    view.pull()
    for _ in range(pushes):
        while not world.control.enter(rank, 1.0):
            pass
        view.push(g)
        world.control.exit(rank)
    world.control.leave(rank)


def start(world: World, access: Access, pushes: int) -> list[multiprocessing.process.BaseProcess]:
    """Starts all workers behind the closed gate and opens it when all are ready, so that they run concurrently."""
    context = multiprocessing.get_context("forkserver")
    world.control.close_gate(0)
    processes = [context.Process(target=push_ones, args=(world, rank, access, pushes)) for rank in range(world.workers)]
    for process in processes:
        process.start()
    deadline = time.monotonic() + WAIT_S
    while not all(world.control.stats(rank)["alive"] for rank in range(world.workers)):
        assert time.monotonic() < deadline, "the workers do not start"
        time.sleep(0.01)
    world.control.open_gate()
    return processes


def join(processes: list[multiprocessing.process.BaseProcess]) -> None:
    for process in processes:
        process.join(WAIT_S)
        assert process.exitcode == 0, "a worker hangs or failed"


@pytest.mark.parametrize("workers", [2, 4])
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
    processes = start(world, access, 1500)
    x = world.layout.views(world.arena.tensor("x"))[0]
    copies = 0
    while any(process.is_alive() for process in processes):
        world.control.close_gate(0)
        deadline = time.monotonic() + WAIT_S
        while not world.control.drained():
            assert time.monotonic() < deadline, "the gate does not drain"
        copy, version = x.clone(), world.control.version
        world.control.open_gate()
        assert (copy == version).all(), f"torn: {copy.min()} to {copy.max()} at version {version}"
        copies += 1
    join(processes)
    assert copies > 10
    assert (x == 4500).all()
