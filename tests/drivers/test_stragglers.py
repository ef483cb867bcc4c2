"""A slow worker costs only its own share if no worker waits, and slows down all workers if they wait for it."""

from __future__ import annotations

import time

import pytest
from replica_processes import Team, running

from experiments.stragglers import virtual_time

BATCHES = 1600


@pytest.fixture(scope="module")
def base() -> float:
    return virtual_time("ssgd", 1, BATCHES)


@pytest.mark.parametrize(
    ("algorithm", "slowdown", "low", "high"),
    [
        ("ssgd", 2, 1.85, 1.95),
        ("ssgd", 100, 89.0, 93.0),
        ("d-psgd", 100, 89.0, 93.0),
        ("ad-psgd", 1, 0.99, 1.01),
        ("ad-psgd", 100, 1.05, 1.1),
        ("easgd", 100, 1.05, 1.1),
    ],
)
def test_sixteen_workers_in_virtual_time(base: float, algorithm: str, slowdown: int, low: float, high: float):
    """Time for the same number of gradients, with communication of 0.1 gradients: (100 + 0.1) / 1.1 = 91 for algorithms
    that wait, and 16 / (15 + 1.1 / 100.1) = 1.066 for others.
    """
    assert low < virtual_time(algorithm, slowdown, BATCHES) / base < high


def rate(team: Team, seconds: float) -> float:
    """Gradients of all processes together in `pause_s`, over the sum of what each could do alone."""
    world = team.world()
    with running(team, world, 1_000_000):
        time.sleep(0.2)

        def count() -> int:
            return sum(world.control.steps(rank) for rank in range(team.workers))

        before, began = count(), time.monotonic()
        time.sleep(seconds)
        found = (count() - before) / (time.monotonic() - began)
    return found * team.pause_s / (team.workers - 1 + 1 / team.straggler)


def test_four_processes_one_of_them_four_times_slower():
    """docs/results/stragglers.md has the measured numbers; this test only tells algorithms that wait from others."""
    waits = rate(Team("ssgd", pause_s=0.02, straggler=4.0), 1.0)
    assert waits < 0.4
    for name, options in (("ad-psgd", {}), ("easgd", {"period": 1})):
        assert rate(Team(name, options, pause_s=0.02, straggler=4.0), 1.0) > 1.7 * waits
