"""What boxes keep for themselves while they train, and what of it they bring together at the end."""

from __future__ import annotations

import pytest
import torch
from slow import rest_is_slow
from test_box_simulation import made, simulated
from torch import nn

import hogwild
from hogwild.boxes import normalization
from hogwild.buffers import Scope
from hogwild.errors import UsageError
from hogwild.nn.pooling import pooled_buffers
from hogwild.shared.own_buffers import OwnBuffers

NORM = {"boxes": 2, "workers": 2, "updates": 200, "lr": 0.05}


def statistics(driver: object) -> list[dict[str, torch.Tensor]]:
    """Of every worker of every box."""
    simulations = [box.simulation for box in driver.simulation.boxes]
    return [OwnBuffers(s.world, s.module).published(rank) for s in simulations for rank in range(s.world.workers)]


@pytest.mark.parametrize("norm", rest_is_slow(("batch", "full"), {"batch"}))
def test_a_normalized_model_of_all_boxes_is_as_good_as_that_of_one(tmp_path, norm: str):
    """Two boxes of two workers, and one of four."""
    alone = {"between": None, "between_period": 50, "boxes": 1, "workers": 4}
    one, _ = simulated(tmp_path, "one", **{**NORM, **alone}, norm=norm)
    two, driver = simulated(tmp_path, "two", **NORM, norm=norm)
    assert two["test_accuracy"] > one["test_accuracy"] - 0.02 > 0.85
    first, *others = statistics(driver)
    for name, value in first.items():
        if value.is_floating_point():
            assert all(torch.equal(value, other[name]) for other in others), name


def test_every_batch_of_all_boxes_counts_alike(tmp_path):
    """A box with three times the batches, and another number of workers, has three times the weight."""
    driver = made(tmp_path, **NORM, norm="batch", between_period=1000)
    simulation = driver.simulation
    generator = torch.Generator().manual_seed(3)
    for box in simulation.boxes:
        world, module = box.simulation.world, box.simulation.module
        for rank in range(world.workers):
            for tensor in module.buffers():
                count = 3 + 5 * rank + 8 * simulation.boxes.index(box)
                drawn = torch.rand(tensor.shape, generator=generator)
                tensor.copy_(drawn if tensor.is_floating_point() else torch.tensor(count))
            OwnBuffers(world, module).publish(rank)
    everyone, module = statistics(driver), simulation.boxes[0].simulation.module
    expected = pooled_buffers(module, everyone)
    simulation.average()
    for found, before in zip(statistics(driver), everyone, strict=True):
        for name, value in found.items():
            if value.is_floating_point():
                assert torch.allclose(value, expected[name], rtol=1e-6), name
            else:
                assert torch.equal(value, before[name]), "the ages of the workers' own averages stay"
    assert normalization.elements(nn.Linear(2, 2)) == 0
    driver.directory.close()


@pytest.mark.parametrize("algorithm", ["shifted", "adamw"])
def test_momenta_and_moments_stay_those_of_their_box(tmp_path, algorithm: str):
    """An exchange changes the model, and nothing else of a box."""
    driver = made(tmp_path, boxes=2, updates=60, algorithm=algorithm, latency=0.5, lr=0.01)
    simulation, arrive = driver.simulation, driver.simulation.between.arrive
    worlds = [box.simulation.world for box in simulation.boxes]

    def state() -> list[torch.Tensor]:
        return [
            world.arena.tensor(name, rank).clone()
            for world in worlds
            for name, buffer in world.buffers.items()
            for rank in range(1 if buffer.scope is Scope.SHARED else world.workers)
            if name != "x"
        ]

    seen = []

    def watched() -> None:
        before, models = state(), [box.x.clone() for box in simulation.boxes]
        arrive()
        assert all(map(torch.equal, before, state()))
        seen.append(not all(torch.equal(x, box.x) for x, box in zip(models, simulation.boxes, strict=True)))

    simulation.between.arrive = watched
    while simulation.advance() is not None:
        pass
    assert len(seen) > 3
    assert all(seen)
    assert any(tensor.any() for tensor in state())
    driver.directory.close()


class Bag(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rows = nn.Embedding(9, 3, sparse=True)

    def forward(self, index: torch.Tensor) -> torch.Tensor:
        return self.rows(index)


def test_tables_are_refused_by_name(tmp_path):
    data = torch.arange(54) % 9, torch.arange(54) % 3
    with pytest.raises(UsageError, match=r"does not support tables \(sparse=True in an embedding\) yet: use dense"):
        hogwild.fit(
            Bag,
            (data, data),
            clock="gamma",
            boxes=2,
            between="ad-psgd",
            workers=1,
            batch_size=9,
            out=tmp_path,
            epochs=1,
        )
    assert not any(tmp_path.iterdir()), "before the first step"
