"""SPARTA: its averages against a recursion in NumPy, and that they move no sum."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
import torch
from harness import Point, Team, make
from oracles import FOUR, LR
from problem_t import team


@pytest.mark.parametrize("period", [1, 3])
def test_sparta(period: int):
    """Against the same recursion in NumPy: the optima of two fragments of 32 elements differ."""
    optima = np.array([[1.0] * 32 + [-1.0] * 32, [2.0] * 32 + [0.0] * 32, [4.0] * 32 + [3.0] * 32])

    def gradient(at: torch.Tensor, rank: int) -> list[torch.Tensor]:
        return [at[:64] - torch.from_numpy(optima[rank])]

    start = Point(torch.zeros(64, dtype=torch.float64))
    one = Team(make("sparta", fraction=0.5, period=period), start, 3, gradient, LR)
    x, parts = np.zeros((3, 64)), [slice(0, 32), slice(32, 64)]
    sent: list[tuple[slice, np.ndarray]] = []
    for step in range(1, 31):
        one.round()
        x = x - LR * (x - optima)
        if step % period == 0:
            if sent:
                part, values = sent[-1]
                x[:, part] += values.mean(0) - values
            part = Random(len(sent)).choice(parts)
            sent.append((part, x[:, part].copy()))
        found = np.array([one.buffer("replica", rank)[:64].tolist() for rank in range(3)])
        np.testing.assert_allclose(found, x, rtol=1e-13, atol=1e-13)
    assert {part.start for part, _ in sent} == {0, 32}, "both fragments come"


def test_averages_of_sparta_conserve_the_sum():
    one = team("sparta", FOUR, lr=0.0, size=70, fraction=0.3)
    for rank in range(4):
        one.world.arena.tensor("replica", rank)[:70] = torch.arange(70, dtype=torch.float64) * (rank + 1) ** 2
    for _ in range(60):
        one.round()
    total = sum(one.buffer("replica", rank) for rank in range(4))[:70]
    torch.testing.assert_close(total, torch.arange(70, dtype=torch.float64) * 30, rtol=1e-13, atol=1e-11)
    assert float(one.buffer("replica", 0)[69]) == pytest.approx(69 * 7.5, rel=1e-12)
