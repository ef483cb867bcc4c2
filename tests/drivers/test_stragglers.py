"""A slow worker costs only its own share if no worker waits, and slows down all workers if they wait for it."""

from __future__ import annotations

import time

import pytest
from replica_processes import WAIT_S, Team, running
from slow import slow

from experiments.stragglers import virtual_time

BATCHES = 1600


@pytest.fixture(scope="module")
def base() -> float:
    return virtual_time("ssgd", 1, BATCHES)


@pytest.mark.parametrize(
    ("algorithm", "slowdown", "low", "high"),
    [
        slow(("ssgd", 2, 1.85, 1.95)),
        ("ssgd", 100, 89.0, 93.0),
        slow(("d-psgd", 100, 89.0, 93.0)),
        slow(("ad-psgd", 1, 0.99, 1.01)),
        ("ad-psgd", 100, 1.05, 1.1),
        slow(("easgd", 100, 1.05, 1.1)),
    ],
)
def test_sixteen_workers_in_virtual_time(base: float, algorithm: str, slowdown: int, low: float, high: float):
    """Time for the same number of gradients, with communication of 0.1 gradients: (100 + 0.1) / 1.1 = 91 for algorithms
    that wait, and 16 / (15 + 1.1 / 100.1) = 1.066 for others.
    """
    assert low < virtual_time(algorithm, slowdown, BATCHES) / base < high


@pytest.mark.parametrize(
    ("algorithm", "options", "waits"), [("ssgd", {}, True), ("ad-psgd", {}, False), ("easgd", {"period": 1}, False)]
)
def test_four_processes_one_of_them_four_times_slower(algorithm: str, options: dict[str, object], waits: bool):
    """Pushes of the three others per push of the slow one: three where all wait for it, else twelve and more.
    docs/results/stragglers.md has the measured times.
    """
    team = Team(algorithm, options, lag=4)
    world = team.world()
    control, others = world.control, range(1, team.workers)
    with running(team, world, 1_000_000):
        deadline = time.monotonic() + WAIT_S
        while (before := control.steps(0)) < 20:
            assert time.monotonic() < deadline, "the slow worker does not come to its 20th push"
            time.sleep(0.01)
        pushes, after = sum(control.steps(rank) for rank in others), control.steps(0)
    assert pushes >= 3 * (before - 1)
    assert (pushes <= 3 * (after + 1)) == waits
    assert (pushes >= 3 * team.lag * before) == (not waits)
