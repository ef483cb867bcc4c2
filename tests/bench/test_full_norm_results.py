"""The table of Full Normalization: every way to train, and what is made of the rows."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest

from bench import full_norm as bench


@pytest.mark.parametrize("norm", bench.NORMS)
@pytest.mark.parametrize("order", bench.ORDERS)
def test_a_run_ends_with_an_accuracy_and_repeats_it(order: str, norm: str):
    runs = [bench.simulate("digits", order, 16, norm, 1, 40) for _ in range(2)]
    assert runs[0] == runs[1]
    assert runs[0]["ended"] == "done"
    assert 0 < runs[0]["accuracy"] < 1


def test_torch_refuses_to_take_the_variance_of_one_sample():
    assert bench.simulate("digits", "shuffled", 1, "batch", 0, 3) == {"accuracy": None, "ended": "refused"}
    assert bench.simulate("digits", "shuffled", 1, "full", 0, 3)["ended"] == "done"


def rows(full_single: float, batch_single: float) -> list[dict[str, Any]]:
    made = []
    for data, order, size, norm, seed in itertools.product(
        bench.PER_CLASS, bench.ORDERS, bench.SETTINGS, bench.NORMS, range(3)
    ):
        single = {"full": full_single, "batch": batch_single}.get(norm, 0.8)
        value = (single if order == "single-class" else 0.9) + 0.01 * (seed - 1)
        row = {"data": data, "workers": 1, "order": order, "batch_size": size, "norm": norm, "state": "", "seed": seed}
        refused = norm == "batch" and size == 1
        made.append({**row, "accuracy": None if refused else value, "ended": "refused" if refused else "done"})
    for order, workers, (norm, state) in itertools.product(bench.SPLIT_ORDERS, (2, 4), bench.STATES):
        value = full_single if norm == "full" else batch_single
        row = {"data": "digits", "workers": workers, "order": order, "batch_size": 16, "norm": norm, "state": state}
        made.append({**row, "seed": 0, "accuracy": value, "ended": "done"})
    return made


@pytest.mark.parametrize(
    ("full", "batch", "held"),
    [
        (0.885, 0.1, [True] * 6),
        (0.7, 0.1, [False, True] * 2 + [False] * 2),
        (0.885, 0.3, [True, False] * 2 + [False] * 2),
    ],
)
def test_the_verdict_says_what_the_rows_say(full: float, batch: float, held: list[bool]):
    lines = bench.verdict(rows(full, batch))
    assert ["**holds**" in line for line in lines] == held
    assert ["**does not hold**" in line for line in lines] == [not holds for holds in held]
    assert f"below by {100 * (0.9 - full):.1f} (size 1)" in lines[0]


def test_a_cell_has_mean_and_spread_and_says_what_is_missing():
    done = [{"accuracy": value, "ended": "done"} for value in (0.8, 0.9)]
    assert bench.cell(done) == "85.0 ± 7.1"
    assert bench.cell([*done, {"accuracy": None, "ended": "diverged"}]) == "85.0 ± 7.1 (1 of 3 diverged)"
    assert bench.cell([{"accuracy": None, "ended": "refused"}] * 3) == "refused"
    assert math.isnan(bench.accuracy([{"accuracy": None}]))


def test_the_report_has_every_row():
    text = bench.markdown(rows(0.885, 0.1), "command", 60.0)
    assert text.count("| refused |") == 2 * len(bench.ORDERS)
    assert text.count("| 88.5 ± 1.0 |") == 2 * len(bench.SETTINGS)
    assert "| single-class | 4 | 88.5 | 88.5 | 10.0 | 10.0 | 10.0 |" in text
