"""Traces of algorithms of 2022 to 2026 on problem_t.py, beside those for workers with different data."""

from __future__ import annotations

import pytest
import torch
from harness import Point, Team, make
from problem_t import near, team

from hogwild.theory import stability


def alone(name: str, steps: tuple[int, ...], workers: int = 1, **options: object) -> list[Team]:
    """A run on (x - 1)^2 / 2 with lr 0.1, workers in turn, after each of these numbers of steps."""
    one = Team(
        make(name, **options), Point(torch.zeros(1, dtype=torch.float64)), workers, lambda at, _: [at[:1] - 1.0], 0.1
    )
    seen = []
    for step in range(max(steps)):
        one.turn(step % workers)
        if step + 1 in steps:
            seen.append(one)
            yield one


def test_snoo():
    runs = alone("lookahead", (8, 20, 40), period=4, slow_rate=0.8, outer_momentum=0.5)
    assert [float(one.buffer("x")[0]) for one in runs] == near(0.7238352176, 1.037171405849, 1.002700180923)


def test_gpa():
    for one in alone("gpa", (20,)):
        x, v = float(one.buffer("x")[0]), float(one.buffer("v")[0])
        assert [x, x - v] == near(0.819409750944, 1.152352258665)


def test_a_look_ahead_of_one_without_momentum():
    """Two workers in turn: a constant delay of 1."""
    runs = alone("nag-asgd", (4, 10, 40), workers=2, momentum=0.0, ahead=1.0)
    assert [float(one.buffer("x")[0]) for one in runs] == near(0.42, 0.68992, 0.986318423860)


@pytest.mark.parametrize(
    ("activation", "expected"),
    [(0.0, (-1.05, -3.325, -8.0675, -8.5925)), (0.25, (-1.05, -2.14375, -5.823125, -7.844375))],
)
def test_delayed_nesterov(activation: float, expected: tuple[float, ...]):
    """Deltas 1 2 3 4 1 2 3 4 1 2 of one worker, with periods of one step."""
    deltas = iter([1.0, 2.0, 3.0, 4.0, 1.0, 2.0, 3.0, 4.0, 1.0, 2.0, 0.0])
    one = Team(
        make("async-diloco", period=1, momentum=0.0, outer_every=4, outer_lr=0.7, activation=activation),
        Point(torch.zeros(1, dtype=torch.float64)),
        1,
        lambda at, _: [torch.full_like(at[:1], next(deltas))],
        lr=1.0,
    )
    seen = []
    for _ in range(10):
        one.turn(0)
        seen.append(float(one.buffer("x")[0]))
    assert [seen[number - 1] for number in (3, 4, 8, 10)] == near(*expected)


def test_slow_workers_push_as_often_as_fast_ones():
    one = team("async-diloco", period=8, momentum=0.0, local_steps="speed")
    pushed = [0, 0, 0]
    for turn in range(2800):
        rank = (0, 0, 1, 0, 0, 1, 2)[turn % 7]  # 4, 2 and 1 steps in the same time
        before = float(one.buffer("pushed")[0])
        one.turn(rank)
        pushed[rank] += float(one.buffer("pushed")[0]) > before
    assert [one.views[rank].steps for rank in range(3)] == [1600, 800, 400]
    assert pushed[0] == 200
    assert pushed[1] == pytest.approx(200, rel=0.02)
    assert pushed[2] == pytest.approx(200, rel=0.03)


@pytest.mark.parametrize(
    ("workers", "expected"),
    [(2, 0.828427125), (4, 0.333070512), (8, 0.150614719), (16, 0.071787616), (32, 0.035065497)],
)
def test_threshold_of_a_table(workers: int, expected: float):
    assert [stability.threshold("table", workers - 1)] == near(expected, digits=9)


def test_a_table_stays_near_a_minimum_below_its_threshold_and_leaves_it_above():
    for share, grows in ((0.97, False), (1.03, True)):
        lr = share * stability.threshold("table", 3)
        one = Team(make("ia2sgd"), Point(torch.ones(1, dtype=torch.float64)), 4, lambda at, _: [at[:1]], lr)
        one.turns(list(range(4)) * 250)
        assert (abs(float(one.x[0])) > 1) == grows


def test_the_theory_of_a_table_ends_at_noise_and_random_delays():
    with pytest.raises(ValueError, match="table in mean square: known for constant delay without noise only"):
        stability.mean_square_threshold("table", 3, noise=0.1)
    assert stability.edge("table", {2: 0.5, 3: 0.5}) == stability.threshold("table", 3)
    with pytest.raises(ValueError, match="rule 'table' is none of none"):
        stability.random_order_threshold("table", 4)
