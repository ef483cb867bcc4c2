"""The table of Full Normalization: the end of a run, and the verdict, cells and report from the rows."""

from __future__ import annotations

import itertools
import math

import pytest

from hogwild.reproduce import full_norm
from hogwild.reproduce.figure import Row
from hogwild.reproduce.norm_runs import alone

SIZE = {"per_class": 16, "tests": 80, "side": 8}


def end(order: str, norm: str, batch_size: int = 16) -> Row:
    return alone(
        "digits",
        SIZE,
        order=order,
        norm=norm,
        batch_size=batch_size,
        updates=20,
        lr=0.02,
        model="mlp",
        workers=1,
        seed=1,
    )


@pytest.mark.parametrize("norm", full_norm.NORMS)
def test_a_run_ends_with_an_accuracy_and_repeats_it(norm: str) -> None:
    first, again = (end("single-class", norm) for _ in range(2))
    assert first == again
    assert first["ended"] == "done"
    assert 0 < first["accuracy"] < 1


def test_torch_refuses_to_take_the_variance_of_one_sample() -> None:
    assert end("shuffled", "batch", 1) == {"accuracy": None, "ended": "refused"}
    assert end("shuffled", "full", 1)["ended"] == "done"


def rows(full_single: float, batch_single: float) -> list[Row]:
    made = []
    for data, order, size, norm, seed in itertools.product(
        full_norm.DATA, full_norm.ORDERS, full_norm.BATCHES, full_norm.NORMS, range(3)
    ):
        single = {"full": full_single, "batch": batch_single}.get(norm, 0.8)
        value = (single if order == "single-class" else 0.9) + 0.01 * (seed - 1)
        refused = norm == "batch" and size == 1
        made.append(
            {"data": data, "workers": 1, "order": order, "batch_size": size, "norm": norm, "state": None, "seed": seed,
             "accuracy": None if refused else value, "ended": "refused" if refused else "done"}
        )  # fmt: skip
    for (order, workers), (norm, state) in itertools.product(full_norm.ALL_SPLITS, full_norm.STATES):
        value = full_single if norm == "full" else batch_single
        made.append(
            {"data": "digits", "workers": workers, "order": order, "batch_size": 16, "norm": norm, "state": state,
             "seed": 0, "accuracy": value, "ended": "done"}
        )  # fmt: skip
    return made


@pytest.mark.parametrize(
    ("full", "batch", "holds"), [(0.885, 0.1, True), (0.7, 0.1, False), (0.885, 0.22, False), (0.885, 0.3, False)]
)
def test_the_verdict_follows_the_rows(full: float, batch: float, holds: bool) -> None:
    verdict = full_norm.verdict(rows(full, batch))
    assert verdict.holds is holds
    assert f"full below shuffled by {100 * (0.9 - full):.1f} (size 1)" in verdict.measured
    assert f"batch refused, {100 * batch:.1f}" in verdict.measured


def test_a_cell_has_mean_and_deviation_or_names_failed_runs() -> None:
    done = [{"accuracy": value, "ended": "done"} for value in (0.8, 0.9)]
    assert full_norm.cell(done) == "85.0 ± 7.1"
    assert full_norm.cell([*done, {"accuracy": None, "ended": "diverged"}]) == "85.0 ± 7.1 (1 of 3 diverged)"
    assert full_norm.cell([{"accuracy": None, "ended": "refused"}] * 3) == "refused"
    assert math.isnan(full_norm.score([{"accuracy": None}]))


def test_the_report_has_every_row() -> None:
    text = full_norm.report(rows(0.885, 0.1))
    assert text.count("| refused |") == 2 * len(full_norm.ORDERS)
    assert text.count("| 88.5 ± 1.0 |") == 2 * len(full_norm.BATCHES)
    assert "| single-class | 4 | 88.5 | 88.5 | 10.0 | 10.0 | 10.0 |" in text
