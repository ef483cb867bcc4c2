"""Standard and shifted momentum in round robin: golden trajectories of f(x) = x^2 / 2 from x = 1, delay 3, m = 0.9.

Expected values: the recurrences of Giladi et al. 2020 written out below, and, to pin the recurrences themselves,
decimal fractions computed once with exact arithmetic.
"""

from __future__ import annotations

import pytest
import torch
from harness import Point, Team, make

DELAY = 3
GOLDEN = {
    ("asgd", 0.9, "torch"): "1 0.7 0.4 0.1 -0.2 -0.491 -0.7649 -1.01441 -1.232969 -1.4149421 -1.55577089 -1.652084501",
    ("shifted", 0.9, "torch"): "1 0.7 0.4 0.1 -0.2 -0.491 -0.773 -1.046 -1.31 -1.55717 -1.78778 -2.0021 -2.2004",
    ("shifted", 0.9, "damped"): "1 0.97 0.94 0.91 0.88 0.8239 0.7687 0.7144 0.661 0.585793 0.513052 0.44275 0.37486",
}


def trajectory(name: str, lr: float, steps: int, weight_decay: float = 0.0, **options: object) -> list[float]:
    """x after each push, workers in turn."""
    start = torch.ones(1, dtype=torch.float64)
    team = Team(make(name, **options), Point(start), DELAY + 1, lambda at, rank: [at[:1].clone()], lr, weight_decay)
    xs = [1.0]
    for push in range(steps):
        team.turn(push % (DELAY + 1))
        xs.append(team.x[0].item())
    return xs


@pytest.mark.parametrize(("name", "dampening", "first_step"), GOLDEN)
def test_golden_trajectories_with_dampening(name: str, dampening: float, first_step: str):
    golden = [float(value) for value in GOLDEN[name, dampening, first_step].split()]
    options: dict[str, object] = {"momentum": 0.9, "dampening": dampening}
    if name == "shifted":
        options["first_step"] = first_step
    assert trajectory(name, 0.3, len(golden) - 1, **options) == pytest.approx(golden, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "golden"),
    [
        (
            "asgd",
            "1 0.978 0.936244 0.876791112 0.801529930576 0.712631807433 0.61247335299 0.503569975045 0.388519196333",
        ),
        (
            "shifted",
            "1 0.978 0.956044 0.934131912 0.912263648176 0.87107912088 0.830455682638 0.790391253833 0.75088376092",
        ),
    ],
)
def test_golden_trajectories_with_weight_decay_on_the_master(name: str, golden: str):
    values = [float(value) for value in golden.split()]
    found = trajectory(name, 0.02, len(values) - 1, weight_decay=0.1, momentum=0.9)
    assert found == pytest.approx(values, rel=1e-11, abs=1e-12)


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("lr", [0.01, 0.03])
def test_shifted_momentum_is_the_delayed_recurrence(momentum: float, lr: float):
    """v_{t+1} = m v_{t-tau} + g(x_{t-tau});  x_{t+1} = x_t - lr v_{t+1}."""
    x, v = [1.0], {}
    for t in range(60):
        v[t + 1] = momentum * v.get(t - DELAY, 0.0) + x[max(t - DELAY, 0)]
        x.append(x[t] - lr * v[t + 1])
    assert trajectory("shifted", lr, 60, momentum=momentum) == pytest.approx(x, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(("name", "stable", "unstable"), [("asgd", 0.034, 0.036), ("shifted", 0.062, 0.066)])
def test_the_stability_edge_is_where_the_theory_puts_it(name: str, stable: float, unstable: float):
    """Delay 3, m = 0.9: the thresholds are 0.034784 (standard) and 0.064787 (shifted)."""

    def size_at_the_end(lr: float) -> float:
        return max(map(abs, trajectory(name, lr, 20_000, momentum=0.9)[-100:]))

    assert size_at_the_end(stable) < 1e-3
    assert size_at_the_end(unstable) > 10.0
