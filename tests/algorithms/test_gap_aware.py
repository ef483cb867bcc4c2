"""Gap-Aware: no gap, no penalty; and the penalty of steady motion, where the gap is exactly `delay` steps."""

from __future__ import annotations

import math

import pytest
import torch
from harness import Point, Team, make

FORMS: list[dict[str, str]] = [{}, {"gap_level": "layer"}, {"gap_level": "global"}, {"gap_reference": "lr"}]


@pytest.mark.parametrize("options", FORMS)
@pytest.mark.parametrize(("workers", "momentum"), [(2, 0.9), (9, 0.9), (9, 0.5)])
def test_steady_motion_is_penalised_like_staleness_aware(workers: int, momentum: float, options: dict[str, str]):
    """A constant gradient, workers in turn, C from v: G -> 1 + delay, so a step ends up (1 + delay) times shorter."""
    lr, delay = 0.01, workers - 1
    team = Team(
        make("gap-aware", momentum=momentum, gap_decay=0.9, **options),
        Point(torch.zeros(1, dtype=torch.float64)),
        workers,
        lambda at, rank: [torch.ones(1, dtype=torch.float64)],
        lr,
    )
    for push in range(3000):
        team.turn(push % workers)
    before = team.x[0].item()
    team.turn(3000 % workers)
    step = before - team.x[0].item()
    assert step == pytest.approx(lr / (1 - momentum) / (1 + delay), rel=1e-6)


@pytest.mark.parametrize("workers", [2, 9])
def test_without_momentum_steady_motion_is_penalised_less(workers: int):
    """C from the raw gradient: G solves G (G - 1) = delay, so G -> (1 + sqrt(1 + 4 delay)) / 2."""
    lr, delay = 0.01, workers - 1
    team = Team(
        make("gap-aware", momentum=0.0, gap_decay=0.9), Point(torch.zeros(1, dtype=torch.float64)), workers,
        lambda at, rank: [torch.ones(1, dtype=torch.float64)], lr,
    )  # fmt: skip
    for push in range(3000):
        team.turn(push % workers)
    before = team.x[0].item()
    team.turn(3000 % workers)
    assert before - team.x[0].item() == pytest.approx(lr * 2 / (1 + math.sqrt(1 + 4 * delay)), rel=1e-6)


def test_the_penalty_remembers_the_largest_lr():
    """After a drop of lr the gaps shrink and C does not, so the penalty vanishes."""
    team = Team(
        make("gap-aware", momentum=0.0, gap_decay=0.9), Point(torch.zeros(1, dtype=torch.float64)), 4,
        lambda at, rank: [torch.ones(1, dtype=torch.float64)], lr=0.1,
    )  # fmt: skip
    team.turns([push % 4 for push in range(400)])
    for view in team.views:
        view.lr = 0.001
    team.turns([push % 4 for push in range(400)])
    before = team.x[0].item()
    team.turn(0)
    step = before - team.x[0].item()
    assert team.world.control.lr_max == 0.1
    assert 0.001 / 1.04 < step <= 0.001


def test_the_lagged_form_converges_to_the_exact_one():
    """In steady motion every push sees the same gap: so the norms of the previous push equal those of this one."""

    def step(lagged: bool) -> float:
        team = Team(
            make("gap-aware", gap_level="global", gap_lagged=lagged, gap_decay=0.9),
            Point(torch.zeros(5, dtype=torch.float64)),
            4,
            lambda at, rank: [torch.ones(5, dtype=torch.float64)],
            lr=0.01,
        )
        team.turns([push % 4 for push in range(3000)])
        before = team.x[0]
        team.turn(0)
        return float((before - team.x[0])[0])

    assert step(True) == pytest.approx(step(False), rel=1e-6)


def test_lagging_is_for_norms_only():
    with pytest.raises(ValueError, match="element-wise form needs no second pass"):
        make("gap-aware", gap_lagged=True)
