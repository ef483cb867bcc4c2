"""Weight decay at gradients of zero: every algorithm shrinks the model at its documented rate."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
import torch
from decay import LR, WD, Decay
from decays import COUNTED, DECAYS, SLOWLY
from harness import Point, Team, make

from hogwild.algorithms import REGISTRY

START = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
PERIODS = 6


def test_every_algorithm_has_a_rate():
    assert {name for name, *_ in DECAYS} | set(SLOWLY) == REGISTRY.keys()


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("name", SLOWLY)
def test_in_the_long_run_the_model_decays(name: str, workers: int):
    """In every direction alike. SGD would leave (1 - lr wd)^240 = 0.0007; outer rates make these slower or faster."""
    team = Team(make(name), Point(START), workers, lambda at, rank: [torch.zeros(3, dtype=torch.float64)], LR, WD)
    steps = 240
    for turn in range(steps if team.algorithm.barriers_per_round else steps * workers):
        team.round() if team.algorithm.barriers_per_round else team.turn(turn % workers)
    left = (team.x[0] / START).numpy()
    np.testing.assert_allclose(left, left[0], rtol=1e-9, atol=1e-12)
    assert abs(left[0]) < 0.1


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize(("name", "options", "decay"), DECAYS)
def test_the_model_decays_as_documented(name: str, options: dict[str, object], decay: Decay, workers: int):
    algorithm = make(name, **options)
    workers = min(workers, algorithm.max_workers or workers)
    team = Team(algorithm, Point(START), workers, lambda at, rank: [torch.zeros(3, dtype=torch.float64)], LR, WD)
    rounds = PERIODS if algorithm.barriers_per_round else PERIODS * workers
    expected = [START.numpy(), *islice(decay(START.numpy(), workers), rounds)]
    for turn in range(rounds):
        team.round() if algorithm.barriers_per_round else team.turn(turn % workers)
        number = team.world.control.version if name in COUNTED else turn + 1
        np.testing.assert_allclose(team.x[0].numpy(), expected[number], rtol=1e-13)
    assert abs(team.x[0][0]) < 1 - LR * WD


def test_the_decay_of_push_sum_does_not_depend_on_the_mass():
    """For any mass of a worker, a step shrinks z by 1 - lr wd, as in SGD."""
    team = Team(make("sgp"), Point(START), 3, lambda at, rank: [torch.zeros(3, dtype=torch.float64)], LR, WD)
    team.turns([0, 0, 0, 1])
    view = team.views[0]
    before = view.replica.clone()
    assert float(view.buffer("mass")[0]) == pytest.approx(1 / 8)
    view.step([torch.zeros(3, dtype=torch.float64)], rate=float(view.buffer("mass")[0]))
    torch.testing.assert_close(view.replica, before * (1 - LR * WD), rtol=1e-14, atol=0)
