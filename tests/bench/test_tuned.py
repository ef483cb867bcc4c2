"""Which learning rate a table of tuned algorithms names."""

from __future__ import annotations

import math

from experiments.tuned import Row, best


def rows(**accuracies: tuple[float, ...]) -> list[Row]:
    """`at1=(...)`: the accuracies of the seeds at learning rate 1."""
    return [
        Row("asgd", 8, float(name.removeprefix("at")), seed, value, ())
        for name, values in accuracies.items()
        for seed, value in enumerate(values)
    ]


def test_the_rate_with_the_highest_mean_is_named_and_an_end_of_those_tried_marked():
    inner = best(rows(at1=(0.5, 0.5), at2=(0.7, 0.6), at4=(0.9, 0.3)))
    assert (inner.lr, inner.mark, round(inner.mean, 9)) == (2, "", 0.65)
    assert str(inner) == "0.650 ± 0.071 (2)"
    assert best(rows(at1=(0.8, 0.7), at2=(0.7, 0.6))).mark == "<"
    assert best(rows(at1=(0.5, 0.4), at2=(0.7, 0.6))).mark == ">"


def test_a_rate_at_which_one_run_diverged_is_not_chosen():
    assert best(rows(at1=(0.5, 0.5), at2=(0.9, math.nan), at4=(0.4, 0.4))).lr == 1
