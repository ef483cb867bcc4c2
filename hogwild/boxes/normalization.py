"""The statistics of normalization layers between boxes. Each box keeps its own while it trains: they are those of its
own model. At the end all boxes take the mean of their models, and pool their statistics as one box does those of its
workers (hogwild.nn.pooling), every batch of the run alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from hogwild.nn.pooling import counted_buffers, pooled_buffers
from hogwild.shared.own_buffers import BUFFER, OwnBuffers
from hogwild.shared.world import World


def elements(module: nn.Module) -> int:
    """Of all buffers of the module."""
    return sum(tensor.numel() for tensor in module.buffers())


def gathered(world: World, module: nn.Module, ranks: Iterable[int]) -> Tensor:
    """[elements] float64: the buffers of a box, pooled over its workers `ranks`, in the order of the module's."""
    own = OwnBuffers(world, module)
    pooled = counted_buffers(module, [own.published(rank) for rank in ranks])
    return torch.cat([torch.zeros(0, dtype=torch.float64), *(pooled[name].double().reshape(-1) for name in pooled)])


def spread(world: World, module: nn.Module, boxes: Sequence[Tensor]) -> None:
    """Gives every worker of this box what is pooled over `boxes`, each as `gathered`. Mutates the workers' buffers of
    floating point; counts stay as they are.
    """
    own = dict(module.named_buffers())
    sizes = [tensor.numel() for tensor in own.values()]
    named = [
        {
            name: part.view_as(own[name]).to(own[name].dtype)
            for name, part in zip(own, torch.split_with_sizes(flat, sizes), strict=True)
        }
        for flat in boxes
    ]
    for name, value in pooled_buffers(module, named).items():
        if value.is_floating_point():
            for rank in range(world.workers):
                world.arena.tensor(BUFFER + name, rank).copy_(value.reshape(-1))
