"""Adaptive rules as the workers' own steps in algorithms with replicas: with one worker the published optimizer."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import serial
import torch
from harness import Point, Team, make

from hogwild.config import Config
from hogwild.errors import UsageError

STEPS, LR, WD = 24, 0.02, 0.1
LOCAL = {
    "adamw": partial(serial.adamw, beta1=0.8, beta2=0.95, eps=1e-8, momentum_kind="shifted", decoupled=True),
    "rmsprop": partial(serial.scaled, beta2=0.95, eps=1e-8),
    "lion": partial(serial.lion, beta1=0.8, beta2=0.95),
}
ALGORITHMS: list[tuple[str, dict[str, object]]] = [  # with one worker they leave its replica alone
    ("local-sgd", {"period": 3}),
    ("slowmo", {"period": 3, "outer_momentum": 0.0}),
    ("downpour", {"period": 3}),
    ("lookahead", {"period": 3, "slow_rate": 1.0}),
]


def gradient(k: int, at: np.ndarray) -> np.ndarray:
    return np.sin(3 * at + k) + 0.3 * at


@pytest.mark.parametrize("rule", LOCAL)
@pytest.mark.parametrize(("name", "options"), ALGORITHMS)
def test_one_worker_is_the_optimizer(name: str, options: dict[str, object], rule: str):
    """Its moments are kept over exchanges, and so are the counts of their bias corrections."""
    betas = {"beta1": 0.8, "beta2": 0.95} if rule != "rmsprop" else {"beta2": 0.95}
    algorithm = make(name, local_rule=rule, **betas, **options)
    start, calls = np.linspace(-1, 1, 17), iter(range(STEPS + 1))

    def ours(at: torch.Tensor, rank: int) -> list[torch.Tensor]:
        return [torch.from_numpy(gradient(next(calls), at[:17].numpy()))]

    team = Team(algorithm, Point(torch.from_numpy(start)), 1, ours, LR, WD)
    for _ in range(STEPS):
        team.round() if algorithm.barriers_per_round else team.turn(0)
    expected = LOCAL[rule](start, gradient, STEPS, lr=LR, weight_decay=WD)
    np.testing.assert_allclose(team.x[0].numpy(), expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("rule", LOCAL)
def test_elastic_averaging_takes_the_adaptive_step_and_the_exchange_in_one_pass(rule: str):
    """x_i <- x_i - step - alpha (x_i - x);  x <- x + alpha (x_i - x), both of the old values."""
    algorithm = make("easgd", local_rule=rule, period=1, alpha=0.3)
    start = np.linspace(-1, 1, 17)
    team = Team(
        algorithm, Point(torch.from_numpy(start)), 1, lambda at, rank: [torch.from_numpy(gradient(0, at[:17].numpy()))],
        LR,
    )  # fmt: skip
    team.world.arena.tensor("replica", 0)[:17] += 0.5
    near, center = (team.buffer(name, rank)[:17].numpy() for name, rank in (("replica", 0), ("x", None)))
    g = gradient(0, start)  # asked for before the replica was moved
    team.turn(0)
    step = near - 0.3 * (near - center) - team.buffer("replica", 0)[:17].numpy()
    length = {"adamw": 1.0, "rmsprop": 10.0, "lion": 1.0}[rule]  # rmsprop: 1 / sqrt(1 - b2), no bias correction
    np.testing.assert_allclose(step, LR * length * np.sign(g), rtol=1e-6)
    np.testing.assert_allclose(team.x[0].numpy(), center + 0.3 * (near - center), rtol=1e-14)


def test_workers_keep_moments_of_their_own():
    for name in ("easgd", "local-sgd", "diloco", "async-diloco", "downpour"):
        kept = make(name, local_rule="adamw").keeps()
        assert {"v", "q"} <= kept.keys()
        assert kept["v"].scope.value == kept["q"].scope.value == "worker"
        assert "q" not in make(name).keeps()


def test_defaults_and_refusals():
    adamw = Config(algorithm="diloco", options={"local_rule": "adamw"})
    assert (adamw.lr, adamw.no_decay) == (1e-3, "bias,norm")
    assert Config(algorithm="diloco").no_decay == "none"
    with pytest.raises(UsageError, match="momentum is no option of local_rule adamw"):
        Config(algorithm="local-sgd", options={"local_rule": "adamw", "momentum": 0.5})
    with pytest.raises(UsageError, match="beta1 is no option of local_rule sgd"):
        Config(algorithm="easgd", options={"beta1": 0.5})
    with pytest.raises(UsageError, match="local_rule: 'adam' is not allowed; it must be one of sgd, adamw"):
        Config(algorithm="easgd", options={"local_rule": "adam"})
