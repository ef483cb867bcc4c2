"""The last state of a lost worker does not count: neither in the mean of the replicas nor in a resumed run."""

from __future__ import annotations

import pytest
import torch
from replica_processes import Flat

from hogwild.algorithms import REGISTRY
from hogwild.drivers.checkpoints.state import State
from hogwild.shared.world import World

N = 37


def scattered(name: str, workers: int) -> tuple[World, Flat]:
    module = Flat(N)
    world = World.create(module, REGISTRY[name]().keeps(), workers)
    result = REGISTRY[name]().result()
    for rank in range(workers):
        for buffer in {result, "replica"}:
            world.arena.tensor(buffer, rank).normal_(generator=torch.Generator().manual_seed(rank))
        world.control.restore_steps(rank, 10 + rank)
    return world, module


@pytest.mark.parametrize("name", ["ad-psgd", "d-psgd", "d2", "local-sgd", "sgp"])
@pytest.mark.parametrize("lost", [set(), {1}, {0, 2}, {0, 1, 2}])
def test_the_mean_is_of_the_survivors(name: str, lost: set[int]):
    world, module = scattered(name, 3)
    state = State.of(world, module, REGISTRY[name](), lost)
    left = sorted({0, 1, 2} - lost) or [0, 1, 2]
    result = REGISTRY[name]().result()
    mean = torch.stack([world.arena.tensor(result, rank).double() for rank in left]).mean(0)
    torch.testing.assert_close(state.parameters["weight"].double(), mean[:N], rtol=1e-6, atol=1e-6)
    assert len(state.module_buffers) == len(left)
    if len(left) > 1 or name == "sgp":  # a single copy of the result is in the parameters
        assert len(state.buffers["replica"]) == len(left)
    assert state.steps == [10 + rank for rank in left]


@pytest.mark.parametrize("workers", [1, 2, 3, 5])
@pytest.mark.parametrize("name", ["ad-psgd", "d2", "easgd", "sgp", "easgd-tree"])
def test_resumed_with_any_number_of_workers(name: str, workers: int):
    """The survivors' replicas if there are as many workers; else all start at the trained model, with mass 1 each."""
    world, module = scattered(name, 3)
    state = State.of(world, module, REGISTRY[name](), {1})
    again = World.create(Flat(N), REGISTRY[name]().keeps(), workers)
    state.write_to(again)
    model = state.parameters["weight"]
    for rank in range(workers):
        expected = world.arena.tensor("replica", (0, 2)[rank])[:N] if workers == 2 else model
        assert torch.equal(again.arena.tensor("replica", rank)[:N], expected)
    if name == "sgp":
        assert sum(float(again.arena.tensor("mass", rank).sum()) for rank in range(workers)) == workers


def test_corrections_of_other_workers_are_not_taken_up():
    """The corrections of d2 sum to zero over all workers, but not over a part of them."""
    world, module = scattered("d2", 4)
    corrections = torch.randn(4, world.layout.n, generator=torch.Generator().manual_seed(9))
    for rank, row in enumerate(corrections - corrections.mean(0)):
        world.arena.tensor("correction", rank).copy_(row)
    state = State.of(world, module, REGISTRY["d2"]())
    for workers in (3, 4):
        again = World.create(Flat(N), REGISTRY["d2"]().keeps(), workers)
        state.write_to(again)
        found = torch.stack([again.arena.tensor("correction", rank) for rank in range(workers)])
        assert float(found.sum(0).abs().max()) < 1e-6
        assert bool(found.any()) == (workers == 4)
