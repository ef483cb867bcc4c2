"""ringmaster-muon: its directions, and what a gradient that is not used leaves behind."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from harness import Team, make
from oracles import near

from hogwild.algorithms.stale.orthogonal import direction
from hogwild.rules import Guard


def test_the_direction_of_a_matrix_is_that_of_the_public_code():
    found = direction(torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64))
    assert found.reshape(-1).tolist() == near(-0.575519974037, 0.968982698068, 0.971650718434, 0.588860075865)


@pytest.mark.parametrize("shape", [(7, 3), (3, 7), (5, 2, 3, 3)])
def test_singular_values_come_near_one_whatever_the_shape(shape: tuple[int, ...]):
    u = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = direction(u)
    assert found.shape == u.shape
    assert found.is_contiguous()
    scale = math.sqrt(max(1.0, shape[0] / math.prod(shape[1:])))
    values = np.linalg.svd(found.flatten(1).numpy(), compute_uv=False) / scale
    assert values.min() > 0.6
    assert values.max() < 1.3
    torch.testing.assert_close(direction(100 * u), found, rtol=1e-6, atol=1e-6)


class Matrix(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(3, 2, dtype=torch.float64))
        self.bias = torch.nn.Parameter(torch.ones(3, dtype=torch.float64))


def gradient(at: torch.Tensor, rank: int) -> list[torch.Tensor]:
    part = torch.tensor([[1.0, 2.0], [0.5, -1.0], [3.0, 1.0]], dtype=torch.float64) * (rank + 1)
    return [part, torch.full((3,), 0.5, dtype=torch.float64)]


def test_a_late_gradient_leaves_model_and_momentum_as_they_were():
    one = Team(make("ringmaster-muon", delay_limit=2), Matrix(), 2, gradient, 0.1)
    one.turns([0, 0])
    x, v = one.buffer("x"), one.buffer("v", 1)
    one.turn(1)
    assert torch.equal(one.buffer("x"), x)
    assert torch.equal(one.buffer("v", 1), v)
    one.turn(1)
    assert not torch.equal(one.buffer("v", 1), v)
    assert int(one.world.control.stats(1)["dropped"]) == 1


@pytest.mark.parametrize("guard", Guard)
def test_a_gradient_that_is_not_finite_does_not_stay_in_the_momentum(guard: Guard):
    """With guard element the bias, whose gradient is finite, moves."""
    one = Team(make("ringmaster-muon"), Matrix(), 1, gradient, 0.1, guard=guard)
    one.turn(0)
    weight, bias = (part.clone() for part in one.views[0].parts("v"))
    one.answers[0] = [torch.full((3, 2), math.nan, dtype=torch.float64), torch.ones(3, dtype=torch.float64)]
    one.turn(0)
    after = one.views[0].parts("v")
    assert torch.equal(after[0], weight)
    assert torch.equal(after[1], bias) == (guard is Guard.PUSH)
    one.turns([0, 0])
    assert torch.isfinite(one.buffer("x")).all()
