"""The theory, compared with the algorithms in the simulator and in real processes that push in turn."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest
import torch
from quadratic import simulate, train
from recurrences import trajectory
from slow import rest_is_slow
from tables import GOLDEN, rows

from hogwild.algorithms import REGISTRY
from hogwild.theory.stability import radius, threshold

ALGORITHMS = {
    "none": "asgd", "standard": "asgd", "shifted": "shifted", "nesterov": "nag-asgd", "dana": "dana-zero",
}  # fmt: skip
SHARES = (0.99, 1.01)  # fractions of the threshold, one coordinate each
LR = 0.05
TRANSIENT, PUSHES = 500, 2000
IN_PROCESSES = rest_is_slow(
    [("standard", 1), *((rule, 3) for rule in ALGORITHMS), ("shifted", 8), ("dana", 8), ("none", 16)],
    {("shifted", 3)},
)


def curvatures(rule: str, delay: int, momentum: float) -> list[float]:
    return [share * threshold(rule, delay, momentum) / LR for share in SHARES]


def growth(x: torch.Tensor, delay: int, transient: int = TRANSIENT) -> list[float]:
    """log of the change of |x| per push, from peaks in two windows longer than an oscillation."""
    window = 16 * (2 * delay + 1)
    early, late = (part.abs().max(dim=0).values for part in (x[transient : transient + window], x[-window:]))
    return ((late / early).log() / (len(x) - transient - window)).tolist()


def check(x: torch.Tensor, rule: str, delay: int, momentum: float) -> None:
    """|x| falls at 0.99 and grows at 1.01 of the threshold, by the computed radius per push."""
    below, above = growth(x, delay)
    assert below < 0 < above
    edge = threshold(rule, delay, momentum)
    for share, found in zip(SHARES, (below, above), strict=True):
        assert found == pytest.approx(math.log(radius(rule, delay, share * edge, momentum)), rel=0.1)


@pytest.mark.parametrize("delay", rest_is_slow([1, 3, 8, 16], {3}))
@pytest.mark.parametrize(
    ("rule", "algorithm"),
    rest_is_slow(
        [*ALGORITHMS.items(), ("dana", "dana-slim")],
        {("shifted", "shifted"), ("dana", "dana-slim")},
    ),
)
def test_the_threshold_in_the_simulator(rule: str, algorithm: str, delay: int):
    momentum = 0.0 if rule == "none" else 0.9
    trace = simulate(algorithm, delay + 1, curvatures(rule, delay, momentum), PUSHES, lr=LR, momentum=momentum)
    assert set(trace.delays[delay:]) == {delay}
    check(trace.x, rule, delay, momentum)


@pytest.mark.parametrize(("rule", "delay"), IN_PROCESSES)
def test_the_threshold_in_real_processes(tmp_path: Path, rule: str, delay: int):
    """Real processes give the same bits as the simulator, and are therefore on the same side of the threshold."""
    momentum = 0.0 if rule == "none" else 0.9
    arguments = (ALGORITHMS[rule], delay + 1, curvatures(rule, delay, momentum), PUSHES)
    last, snapshots = train(tmp_path, *arguments, lr=LR, momentum=momentum)
    expected = simulate(*arguments, lr=LR, momentum=momentum)
    assert torch.equal(snapshots, expected.snapshot)
    assert torch.equal(last, expected.x[-1])
    check(snapshots, rule, delay, momentum)


@pytest.mark.slow
def test_dampened_momentum_is_stable_where_its_table_says():
    """d = m = 0.9 and delay 8: 0.139419946 standard, 0.244694464 shifted."""
    for algorithm, edge in (("asgd", 0.139419946), ("shifted", 0.244694464)):
        a = [share * edge / LR for share in SHARES]
        below, above = growth(simulate(algorithm, 9, a, PUSHES, lr=LR, momentum=0.9, dampening=0.9).x, 8)
        assert below < 0 < above


@pytest.mark.parametrize("row", rows(GOLDEN), ids=lambda row: "-".join(row[:5]))
def test_golden_trajectories(tmp_path: Path, row: list[str]):
    rule, dampening, lr, decay, first_step, *expected = row
    algorithm, golden = ALGORITHMS[rule], torch.tensor(list(map(float, expected)), dtype=torch.float64)
    options = {
        "lr": float(lr), "momentum": 0.9, "dampening": float(dampening), "weight_decay": float(decay),
        "first_step": first_step,
    }  # fmt: skip
    trace = simulate(algorithm, 4, [1.0], len(golden) - 1, **options)
    torch.testing.assert_close(trace.x[:, 0], golden, rtol=0, atol=1e-12)
    if float(decay):
        _, snapshots = train(tmp_path, algorithm, 4, [1.0], len(golden) - 1, **options)
        torch.testing.assert_close(snapshots[:, 0], golden[1:], rtol=0, atol=1e-12)


@pytest.mark.parametrize("delay", rest_is_slow([0, 1, 4, 7], {4}))
@pytest.mark.parametrize("rule", ALGORITHMS)
def test_every_option_against_the_raw_recurrence(rule: str, delay: int):
    """100 pushes, curvatures 1 and 2.5, with and without dampening, weight decay and an undampened first step."""
    dampens = rule != "none" and "dampening" in REGISTRY[ALGORITHMS[rule]].options()
    first_steps = [(0.0, "torch"), (0.3, "torch"), (0.3, "damped")] if dampens else [(0.0, "torch")]
    for (dampening, first_step), decay in itertools.product(first_steps, (0.0, 0.1)):
        momentum, lr = (0.0, 0.1) if rule == "none" else (0.8, 0.02)
        options = {"dampening": dampening, "first_step": first_step} if dampens else {}
        trace = simulate(
            ALGORITHMS[rule], delay + 1, [1.0, 2.5], 100, lr=lr, momentum=momentum, weight_decay=decay, **options
        )
        for k, curvature in enumerate((1.0, 2.5)):
            raw = trajectory(rule, delay, lr, momentum, dampening, decay, curvature, first_step)
            expected = torch.tensor(list(itertools.islice(raw, 101)), dtype=torch.float64)
            torch.testing.assert_close(trace.x[:, k], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("rule", "ends"),
    [("standard", {0.034: 3e-9, 0.036: 2e13}), ("shifted", {0.062: 1e-5, 0.066: 1e2})],
)
@pytest.mark.slow
def test_where_golden_trajectories_end(rule: str, ends: dict[float, float]):
    """|x| after 20,000 pushes with curvature 1. Here each lr becomes a curvature at one common lr."""
    trace = simulate(ALGORITHMS[rule], 4, [lr / LR for lr in ends], 20_000, lr=LR, momentum=0.9)
    assert trace.x[-100:].abs().max(dim=0).values.tolist() == pytest.approx(list(ends.values()), rel=2.0)
