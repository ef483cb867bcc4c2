"""--clip bounds the norm of a gradient in every operation of an algorithm: push, deposit, sum, part, exchange."""

from __future__ import annotations

import pytest
import torch
from harness import Point, Team, make

N, CLIP = 40, 0.5
WAYS = {
    "asgd": {},
    "ssgd": {},
    "softsync": {"softsync_n": 1},
    "asysg-incon": {"coords": "block", "block": 64},
    "easgd": {"period": 5},
    "d-psgd": {},
}


@pytest.mark.parametrize("size", [10.0, 0.01])
@pytest.mark.parametrize("name", WAYS)
def test_the_first_step_is_that_of_the_clipped_gradient(name: str, size: float):
    """One worker, lr 1: the step is the gradient, shortened to CLIP if it is longer, in the same direction."""
    direction = torch.randn(N, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    g = size * direction / direction.norm()
    algorithm = make(name, **WAYS[name])
    team = Team(algorithm, Point(torch.ones(N, dtype=torch.float64)), 1, lambda at, rank: [g], lr=1.0, clip=CLIP)
    place = "replica" if name == "easgd" else algorithm.result()
    before = team.buffer(place, 0)[:N]
    team.round() if algorithm.barriers_per_round else team.turn(0)
    torch.testing.assert_close(before - team.buffer(place, 0)[:N], g * min(1.0, CLIP / size), rtol=1e-12, atol=1e-13)
    assert g.norm().item() == pytest.approx(size)
