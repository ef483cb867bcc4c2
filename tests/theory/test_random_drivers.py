"""Random delays and random worker order in the simulator: expectations by enumeration, single runs, noise."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from quadratic import simulate
from recurrences import history_operator, workers_operator
from slow import rest_is_slow

from hogwild.drivers.instruments.trace import Trace
from hogwild.drivers.simulated.clocks import DelayClock, TraceClock
from hogwild.theory import stability

ALGORITHMS = {
    "none": "asgd", "standard": "asgd", "shifted": "shifted", "nesterov": "nag-asgd", "dana": "dana-zero",
}  # fmt: skip
LR = 0.1


@dataclass
class Scripted(DelayClock):
    """A clock that returns a given list of delays."""

    script: Sequence[int] = field(default=())

    def delay(self) -> int:
        delay, *self.script = self.script
        return delay


def second_moments(operator: np.ndarray, start: np.ndarray, pushes: int) -> list[float]:
    """E x_t^2, t = 0, 1, ..., where x is the first entry of the state."""
    moments = [np.kron(start, start)]
    for _ in range(pushes):
        moments.append(operator @ moments[-1])
    return [float(moment[0]) for moment in moments]


@pytest.mark.parametrize("rule", rest_is_slow(["none", "standard", "nesterov"], {"standard"}))
def test_expectations_over_all_sequences_of_delays(rule: str):
    """E x_t obeys the polynomial (eq. 19 for `none`), E x_t^2 the operator behind the mean-square threshold."""
    law, pushes, k, momentum = {0: 0.4, 2: 0.6}, 7, 0.7, 0.0 if rule == "none" else 0.6
    first, second = np.zeros(pushes + 1), np.zeros(pushes + 1)
    for script in itertools.product(law, repeat=pushes):
        weight = math.prod(law[delay] for delay in script)
        clock = Scripted(law, 0, script=script)
        x = simulate(ALGORITHMS[rule], 1, [k / LR], pushes, clock, lr=LR, momentum=momentum).x[:, 0].numpy()
        first, second = first + weight * x, second + weight * x**2
    coefficients = stability.characteristic(rule, law, k, momentum)
    degree = len(coefficients) - 1
    for t in range(degree + 1, pushes + 1):
        assert coefficients @ first[t - degree : t + 1][::-1] == pytest.approx(0.0, abs=1e-12)
    operator, _ = history_operator(rule, law, k, momentum, 1.0, 0.0, 0.0)
    depth = 2 * max(law) + 2
    expected = second_moments(operator, np.repeat([1.0, 0.0], depth), pushes)
    assert second.tolist() == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("rule", rest_is_slow(ALGORITHMS, {"dana"}))
def test_expectations_over_all_orders_of_workers(rule: str):
    """E x_t^2 over all orders of two workers equals that of the operator that defines the threshold by its radius."""
    workers, pushes, k, momentum = 2, 7, 0.4, 0.0 if rule == "none" else 0.6
    second = np.zeros(pushes + 1)
    for order in itertools.product(range(workers), repeat=pushes):
        clock = TraceClock(Trace.of([(rank, ticket) for ticket, rank in enumerate(order)], workers))
        x = simulate(ALGORITHMS[rule], workers, [k / LR], pushes, clock, lr=LR, momentum=momentum).x[:, 0].numpy()
        second += x**2 / workers**pushes
    operator = workers_operator(rule, workers, k, momentum, 1.0, 0.0)
    start = np.concatenate([[1.0, 0.0], np.ones(workers), np.zeros(workers)])
    assert second.tolist() == pytest.approx(second_moments(operator, start, pushes), rel=1e-11)


@pytest.mark.parametrize(
    ("rule", "momentum", "workers", "edge", "share", "pushes"),
    [
        pytest.param("none", 0.0, 3, 1.265, 0.1, 3000, marks=pytest.mark.slow),
        pytest.param("none", 0.0, 9, 0.646, 0.1, 6000, marks=pytest.mark.slow),
        pytest.param("standard", 0.9, 9, 0.254, 0.2, 10_000, marks=pytest.mark.slow),
        pytest.param("shifted", 0.9, 9, 1.33, 0.25, 10_000, marks=pytest.mark.slow),
    ],
)
def test_a_single_run_in_random_order(rule: str, momentum: float, workers: int, edge: float, share: float, pushes: int):
    """The edge of one run (its Lyapunov exponent is 0 there; known to 1 %) lies between mean square and expectation."""
    square = stability.random_order_threshold(rule, workers, momentum, dampening=momentum)
    ks = [square, (1 - share) * edge, (1 + share) * edge]
    options = {"momentum": momentum, "dampening": momentum} if momentum else {}
    x = simulate(ALGORITHMS[rule], workers, [k / LR for k in ks], pushes, "random", lr=LR, seed=1, **options).x
    at_square, below, above = x[-200:].abs().max(dim=0).values.tolist()
    assert at_square < 1e-1
    assert below < 1e-1
    assert above > 1e1
    assert square < edge


@pytest.mark.parametrize("clock", ["uniform:0:6", "normal:4:1", "geometric:4", "random", "gamma:cv=0.5"])
def test_a_run_is_the_recurrence_of_its_own_delays(clock: str):
    """x_{t+1} = x_t - lr a x_{t - delay_t} for every clock, with the delays that the driver reports."""
    trace = simulate("asgd", 5, [0.3 / LR], 400, clock, lr=LR)
    assert len(set(trace.delays)) > 4
    x = [1.0]
    for t, delay in enumerate(trace.delays):
        x.append(x[t] - 0.3 * x[t - delay])
    torch.testing.assert_close(trace.x[:, 0], torch.tensor(x, dtype=torch.float64), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(
    ("rule", "delay"),
    rest_is_slow([("none", 0), ("none", 4), ("standard", 2), ("shifted", 3), ("dana", 3)], {("none", 0)}),
)
def test_the_variance_of_a_run_with_noisy_gradients(rule: str, delay: int):
    """500 coordinates with independent unit noise, at a third of the threshold: lr^2 times the computed variance."""
    n, pushes, momentum = 500, 2000, 0.0 if rule == "none" else 0.7
    k = stability.threshold(rule, delay, momentum) / 3
    noise = torch.randn(pushes, n, generator=torch.Generator().manual_seed(5))
    x = simulate(ALGORITHMS[rule], delay + 1, [k / LR] * n, pushes, noise=noise, lr=LR, momentum=momentum, seed=2).x
    expected = LR**2 * stability.stationary_variance(rule, delay, k, momentum)
    assert x[500:].square().mean().item() == pytest.approx(expected, rel=0.03)
