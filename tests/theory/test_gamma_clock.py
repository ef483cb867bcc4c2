"""Clusters with gamma distributed execution times, as in the papers on gaps: delays, and the cost of waiting.

Expected numbers: Monte Carlo of that model (40 homogeneous, 400 heterogeneous clusters), made without this package.
"""

from __future__ import annotations

import numpy as np
import pytest
from quadratic import simulate
from slow import rest_is_slow

from hogwild.drivers.simulated import clocks

HOMOGENEOUS, HETEROGENEOUS = "gamma:cv=0.1", "gamma:cv=0.1,het=0.6"
DELAYS = {8: (4, 10, 13), 16: (10, 20, 25), 32: (23, 40, 49), 64: (48, 80, 96)}
"""workers -> 1 %, 99 % quantile and maximum of the delay in a homogeneous cluster; the mean is N - 1."""
SPEED_UP = {4: 1.105, 8: 1.147, 16: 1.184, 24: 1.205, 32: 1.219, 48: 1.238, 64: 1.250, 128: 1.279}
"""workers -> samples per unit of time, asynchronous over synchronous, in a homogeneous cluster."""
MEDIAN_SPEED_UP = {4: 2.17, 8: 2.68, 16: 3.44, 24: 3.72, 32: 3.89, 48: 4.30, 64: 4.50, 128: 5.06}
"""The median over heterogeneous clusters."""


def times(spec: str, workers: int, seed: int, gradients: int) -> np.ndarray:
    """Durations [workers, gradients] as the clock draws them."""
    clock = clocks.parse(spec, workers, seed, {})
    assert isinstance(clock, clocks.TimedClock)
    return np.array([[clock.duration(rank) for _ in range(gradients)] for rank in range(workers)])


def speed_up(spec: str, workers: int, seed: int, gradients: int) -> float:
    """The rate with each worker at its own pace, divided by the rate if all wait for the slowest."""
    durations = times(spec, workers, seed, gradients)
    return float((1 / durations.mean(axis=1)).sum() * durations.max(axis=0).mean() / workers)


@pytest.mark.parametrize("workers", rest_is_slow(DELAYS, {8}))
def test_delays_of_a_homogeneous_cluster(workers: int):
    first, last, largest = DELAYS[workers]
    delays = np.array(simulate("asgd", workers, [1.0], 150 * workers, HOMOGENEOUS, lr=1e-4).delays[10 * workers :])
    assert delays.mean() == pytest.approx(workers - 1, abs=0.1)
    found = np.quantile(delays, [0.01, 0.5, 0.99])
    assert found[0] == pytest.approx(first, abs=1)
    assert found[1] == workers - 1
    assert found[2] == pytest.approx(last, abs=1)
    assert last < delays.max() <= largest + 4


@pytest.mark.parametrize(
    "clock", rest_is_slow([HOMOGENEOUS, HETEROGENEOUS, "random", "round-robin:burst=0.1x9"], {HETEROGENEOUS})
)
@pytest.mark.parametrize("workers", rest_is_slow([8, 32], {8}))
def test_the_mean_delay_is_exactly_one_less_than_the_workers(workers: int, clock: str):
    """Every push makes N - 1 snapshots one version older. The delays and the final ages of snapshots sum to that."""
    trace = simulate("asgd", workers, [1.0], 1500, clock, lr=1e-4, seed=3)
    assert sum(trace.delays) + sum(trace.behind) == (workers - 1) * 1500


@pytest.mark.slow
def test_delays_of_a_heterogeneous_cluster():
    """Draws differ much. The mean is fixed; slow workers make a tail, fast workers a median below the mean."""
    medians, tails = [], []
    for seed in range(8):
        delays = np.array(simulate("asgd", 8, [1.0], 1600, HETEROGENEOUS, lr=1e-4, seed=seed).delays[100:])
        assert delays.mean() == pytest.approx(7, abs=0.35)
        medians.append(np.median(delays))
        tails.append(np.quantile(delays, 0.99))
    assert 5 <= np.mean(medians) <= 6.9
    assert 1.5 * DELAYS[8][1] < np.mean(tails) < 44


def test_how_often_a_gradient_takes_much_longer_than_the_mean():
    """P(time > 1.25 of the mean of all): 0.95 % and 27.88 %."""
    assert (times(HOMOGENEOUS, 20, 0, 2000) > 1.25).mean() == pytest.approx(0.0095, abs=0.0015)
    shares = [(times(HETEROGENEOUS, 50, seed, 20) > 1.25).mean() for seed in range(60)]
    assert np.mean(shares) == pytest.approx(0.2788, abs=0.02)


@pytest.mark.parametrize("workers", SPEED_UP)
def test_speed_up_of_asynchrony_in_a_homogeneous_cluster(workers: int):
    found = np.mean([speed_up(HOMOGENEOUS, workers, seed, 1600 // workers) for seed in range(16)])
    assert found == pytest.approx(SPEED_UP[workers], rel=0.01)


@pytest.mark.parametrize("workers", [4, 8, 16, 32])
def test_speed_up_of_asynchrony_in_a_heterogeneous_cluster(workers: int):
    found = np.median([speed_up(HETEROGENEOUS, workers, seed, 20) for seed in range(240)])
    assert found == pytest.approx(MEDIAN_SPEED_UP[workers], rel=0.08)


@pytest.mark.parametrize("workers", rest_is_slow([4, 16], {4}))
def test_the_virtual_time_of_runs_shows_the_same_speed_up(workers: int):
    gradients = 200 * workers
    slow, fast = (
        simulate(name, workers, [1.0], gradients, HOMOGENEOUS, lr=1e-4).times[-1] for name in ("ssgd", "asgd")
    )
    assert slow / fast == pytest.approx(SPEED_UP[workers], rel=0.02)
