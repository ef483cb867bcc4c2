"""Rules under delay: the best rate of each, the table, and the models that know nothing."""

from __future__ import annotations

import math

import pytest

from hogwild.reproduce import training
from hogwild.reproduce.delayed_tables import RATINGS
from hogwild.tasks.datasets.zipf import zipf_ratings

ERRORS = {
    ("row-adagrad", 1, 0.1): (0.50, 0.52), ("row-adagrad", 1, 0.3): (0.48, 0.51),
    ("row-adagrad", 32, 0.1): (0.60, 0.62), ("row-adagrad", 32, 0.3): (0.55, None),
    ("sgd", 1, 1.0): (0.47, 0.49), ("sgd", 32, 1.0): (None, None),
}  # fmt: skip


def rows(errors=ERRORS) -> list[dict]:
    return [
        {"data": "zipf_ratings", "rule": rule, "workers": workers, "lr": lr, "seed": seed, "quality": value}
        for (rule, workers, lr), values in errors.items()
        for seed, value in enumerate(values)
    ]


def test_a_table_has_the_best_rate_of_which_no_seed_diverged():
    text = RATINGS.report(rows())
    assert "| row-adagrad | 0.495 +- 0.021 (0.3) | 0.610 +- 0.014 (0.1) | 0.115 |" in text
    assert "| sgd | 0.480 +- 0.014 (1) | diverged |  |" in text
    assert "At 32 workers row-adagrad is the best of" in text
    assert RATINGS.verdict(rows()).holds
    better = {**ERRORS, ("sgd", 32, 1.0): (0.60, 0.60)}
    assert "At 32 workers row-adagrad is not the best of" in RATINGS.report(rows(better))


def test_a_model_of_ratings_that_knows_nothing_has_their_variance_as_loss():
    data = zipf_ratings(20, 30, 5000)
    part = training.part_of(data.train, 100)
    assert (len(part), part.users, part.items) == (100, 20, 30)
    assert training.loss_of_guessing(data) == pytest.approx(1.09, abs=0.15)
    data.classes = 7
    assert training.loss_of_guessing(data) == math.log(7)


def test_tables_are_trained_at_their_own_rate(monkeypatch: pytest.MonkeyPatch):
    few = zipf_ratings(200, 300, 4000)
    monkeypatch.setattr(training, "images", lambda *_: few)
    values = {"model": "mf", "algorithm": "asgd", "batch_size": 250, "lr": 0.01, "table_rule": "row-adagrad"}
    errors = [
        training.train(data="zipf_ratings", samples=1, tests=1, epochs=1, workers=2, table_lr=lr, **values)[-1]["loss"]
        for lr in (1e-6, 0.5)
    ]
    assert errors[0] != pytest.approx(errors[1], rel=1e-3)
