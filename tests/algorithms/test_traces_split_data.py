"""Algorithms for workers with different data and speeds, against traces of their texts (problem_t.py)."""

from __future__ import annotations

from itertools import islice

import pytest
from oracles import AFTER, CANCELLING, UNEQUAL, arrivals, near
from problem_t import cancelling, masters, team


@pytest.mark.parametrize(("name", "options", "expected"), UNEQUAL)
def test_masters_of_unequal_workers(name: str, options: dict[str, object], expected: tuple[float, ...]):
    assert masters(team(name, **options), AFTER) == near(*expected)


@pytest.mark.parametrize(("name", "expected"), [("rescaled", 2.289281072734), ("asgd", 1.686966156182)])
def test_where_unequal_workers_end(name: str, expected: float):
    """Mean over arrivals 1401 to 2800; 7/3 is right, and asgd ends at the optimum weighted by speed."""
    one, order, total = team(name), arrivals(), 0.0
    for number in range(1, 2801):
        one.turn(next(order))
        total += float(one.buffer("x")[0]) * (number > 1400)
    assert total / 1400 == pytest.approx(expected, abs=0.6e-12)


def test_which_deliveries_are_too_old():
    one = team("downpour", period=2, delay_limit=6)
    dropped, order = [0, 0, 0], arrivals()
    for rank in islice(order, 280):
        before = float(one.buffer("center")[0])
        one.turn(rank)
        hands_in = one.views[rank].steps % 2 == 0
        dropped[rank] += hands_in and float(one.buffer("center")[0]) == before
    assert [one.views[rank].steps // 2 for rank in range(3)][1:] == [39, 19]
    assert dropped == [0, 3, 19]


def test_which_gradients_are_from_too_far_away():
    one = team("picky", distance_limit=0.15)
    one.turns(islice(arrivals(), 280))
    assert sum(int(one.world.control.stats(rank)["dropped"]) for rank in range(3)) == 62


@pytest.mark.parametrize(("name", "options", "expected"), CANCELLING)
def test_updates_that_cancel_what_is_in_flight(name: str, options: dict[str, object], expected: dict[float, float]):
    """Rennala (k-batch-sync, also with k above the workers) and Malenia, against public code: time -> master."""
    seen = cancelling(team(name, **options), max(expected))
    assert [seen[time] for time in expected] == near(*expected.values())


def test_malenia_waits_for_the_harmonic_mean():
    """S = 7 of three workers: 2 or 3 gradients of each, or more of the fast ones."""
    one = team("malenia", gradients=7)
    taken = []
    for rank in (0, 0, 0, 1, 1, 1, 2, 2):
        taken.append([float(one.buffer("taken", j)[0]) for j in range(3)])
        one.turn(rank)
    assert one.world.control.version == 1
    assert taken[-1] == [3, 3, 1], "3 / (1/3 + 1/3 + 1) is 1.8, below 7/3; 3 / (1/3 + 1/3 + 1/2) is above"
    assert float(one.buffer("x")[0]) == pytest.approx(0.1 * 7 / 3)


def test_delays_of_ringleader_are_bounded_and_no_gradient_is_lost():
    one, order = team("ringleader"), arrivals()
    for rank in islice(order, 400):
        one.turn(rank)
        rows = sum(float(one.buffer("v", j)[0]) for j in range(3) if one.buffer("state", j)[0])
        assert float(one.buffer("v_sum")[0]) == pytest.approx(rows, abs=1e-12)
    stats = [one.world.control.stats(rank) for rank in range(3)]
    assert sum(int(worker["pushes"]) for worker in stats) == 400
    assert sum(int(worker["dropped"]) for worker in stats) == 0
    assert max(int(worker["delay_max"]) for worker in stats) <= 4
