"""SSGD: N workers equal one worker with their mean gradient, element by element."""

from __future__ import annotations

import pytest
import torch
from harness import Point, Team, make

N = 1000


def gradient(at: torch.Tensor, rank: int) -> list[torch.Tensor]:
    return [torch.sin((rank + 1) * at[:N]) + 0.1 * rank]


@pytest.mark.parametrize("workers", [1, 2, 3, 7])
def test_a_round_is_one_step_on_the_mean_gradient(workers: int):
    start = torch.linspace(-1, 1, N, dtype=torch.float64)
    team = Team(make("ssgd", momentum=0.9), Point(start), workers, gradient, lr=0.05, weight_decay=0.01)
    parameter = torch.nn.Parameter(start.clone())
    optimizer = torch.optim.SGD([parameter], lr=0.05, momentum=0.9, weight_decay=0.01)
    for _ in range(20):
        team.round()
        at = parameter.detach()
        parameter.grad = torch.stack([gradient(at, rank)[0] for rank in range(workers)]).mean(0)
        optimizer.step()
    torch.testing.assert_close(team.x[0], parameter.detach(), rtol=1e-12, atol=1e-12)
    assert team.world.control.version == 20


def test_a_bad_gradient_leaves_the_round_to_the_others():
    def sometimes(at: torch.Tensor, rank: int) -> list[torch.Tensor]:
        return [torch.full((N,), float("inf") if rank == 1 else float(rank + 1), dtype=torch.float64)]

    team = Team(make("ssgd"), Point(torch.zeros(N, dtype=torch.float64)), 3, sometimes, lr=1.0)
    team.round()
    assert torch.equal(team.x[0], torch.full((N,), -2.0, dtype=torch.float64))  # the mean of 1 and 3
    assert [team.world.control.stats(rank)["refused"] for rank in range(3)] == [0, 1, 0]
