"""A module's own buffers reach shared memory and come back, also if it makes them anew in every forward pass."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from hogwild.buffers import SHARED
from hogwild.errors import UsageError
from hogwild.shared.own_buffers import OwnBuffers
from hogwild.shared.world import World


class Averaging(nn.Module):
    """`replaces`: its buffer is another tensor after each forward pass."""

    def __init__(self, replaces: bool) -> None:
        super().__init__()
        self.layer, self.replaces = nn.Linear(3, 17), replaces
        self.register_buffer("mean", torch.zeros(17))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        mean = 0.9 * self.mean + 0.1 * y.detach().mean(0)
        if self.replaces:
            self.mean = mean
        else:
            self.mean.copy_(mean)
        self.steps += 1
        return y


@pytest.mark.parametrize("replaces", [False, True])
def test_each_worker_has_its_own_copy(replaces: bool):
    module = Averaging(replaces)
    world = World.create(module, {"x": SHARED}, 2)
    own, seen = OwnBuffers(world, module), {}
    for step in range(6):
        rank = step % 2
        own.recall(rank)
        assert module.steps == step // 2
        if rank in seen:
            assert torch.equal(module.mean, seen[rank])
        module(torch.randn(8, 3))
        seen[rank] = module.mean.clone()
        own.publish(rank)
    for rank in range(2):
        published = own.published(rank)
        assert torch.equal(published["mean"], seen[rank])
        assert published["steps"] == 3


def test_a_buffer_that_appears_or_changes_its_shape_is_refused():
    module = Averaging(False)
    world = World.create(module, {"x": SHARED}, 1)
    own = OwnBuffers(world, module)
    own.publish(0)
    module.layer.register_buffer("late", torch.ones(3))
    with pytest.raises(UsageError, match=r"buffer layer\.late has shape \[3\], not that of the start"):
        own.publish(0)
    del module.layer.late
    own.publish(0)
    module.mean = torch.ones(5)
    with pytest.raises(UsageError, match=r"buffer mean has shape \[5\]"):
        own.recall(0)


def test_shared_buffers_become_the_shared_memory():
    module = Averaging(False)
    world = World.create(module, {"x": SHARED}, 2, shared_buffers=["mean"])
    own = OwnBuffers(world, module)
    for rank in (0, 1, 0):
        own.recall(rank)
        assert module.mean.data_ptr() == world.arena.tensor("buffer:mean").data_ptr()
        module.mean += 1
        own.publish(rank)
    assert world.arena.tensor("buffer:mean").tolist() == [3.0] * 17
