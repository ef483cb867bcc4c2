"""The figures about averaging: workers in the simulator have the radii of theory, and verdicts can fail."""

from __future__ import annotations

import pytest
from slow import rest_is_slow

from hogwild.reproduce import averaging
from hogwild.reproduce.figure import SMOKE
from hogwild.reproduce.quadratic import radius
from hogwild.reproduce.study import Study
from hogwild.theory import downpour, elastic


@pytest.mark.parametrize(
    ("workers", "period", "k"), rest_is_slow([(3, 5, 0.03), (5, 7, 0.07), (2, 3, 0.4)], {(2, 3, 0.4)})
)
def test_workers_in_turn_have_the_radius_of_theory(workers, period, k):
    case = {"workers": workers, "period": period, "k": k, "cycles": 90}
    assert radius(algorithm="downpour", **case) == pytest.approx(downpour.radius(workers, k, period), rel=0.02)
    assert radius(algorithm="easgd", **case) == pytest.approx(
        elastic.radius(workers, k, 0.9 / workers, period), rel=0.02
    )


@pytest.mark.parametrize(
    ("column", "value"),
    rest_is_slow(
        [("downpour", 1.1), ("easgd", 1.1), ("trained_downpour", 0.5), ("trained_easgd", None)],
        {},
    ),
)
def test_the_verdict_on_periods_looks_at_every_column(tmp_path, column, value):
    rows = averaging.periods(Study(SMOKE, 0, tmp_path))
    row = next(row for row in rows if row["workers"] == averaging.TRAINED_WORKERS and row["period"] == 1)
    sound = averaging.periods_verdict(rows)
    row[column] = value
    doctored = averaging.periods_verdict(rows)
    assert "8 runs" in sound.measured
    assert (doctored.holds, doctored.measured) != (sound.holds, sound.measured)
    assert value is None or not doctored.holds
