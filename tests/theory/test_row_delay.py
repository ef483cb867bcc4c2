"""The expected delay of rows: a table of six digits, a simulation, and the estimate from counts."""

from __future__ import annotations

import numpy as np
import pytest

from hogwild.theory.rows import measured_row_delay, row_delay, touched, zipf

TABLE = [  # rows, exponent, batch; touched rows; mean delay of 2, 8 and 32 workers; shared rows of 8
    (200_000, 0.0, 1024, 1021, (0.00511, 0.03575, 0.15831), 0.035),
    (200_000, 1.0, 256, 192, (0.14187, 0.99307, None), 0.311),
    (200_000, 1.0, 4096, 2198, (0.20168, 1.41177, 6.25214), 0.438),
    (2_000_000, 1.0, 1024, 727, (0.12883, 0.90182, 3.99378), 0.281),
    (2_000_000, 1.2, 1024, 393, (0.24666, 1.72664, 7.64655), 0.458),
]


@pytest.mark.parametrize(("rows", "exponent", "batch", "unique", "means", "shared"), TABLE)
def test_the_table(rows: int, exponent: float, batch: int, unique: int, means: tuple[float | None, ...], shared: float):
    q = touched(zipf(rows, exponent), batch)
    assert round(q.sum()) == unique
    for workers, mean in zip((2, 8, 32), means, strict=True):
        found = row_delay(q, workers)
        assert mean is None or round(found.mean, 5) == mean
        assert found.hottest == pytest.approx((workers - 1) * q[0])
    assert round(row_delay(q, 8).shared, 3) == shared


def test_a_dense_model_has_the_delay_of_all_others():
    assert row_delay(np.ones(5), 8) == (7.0, 1.0, 7.0)
    assert row_delay(np.zeros(5), 8) == (0.0, 0.0, 0.0)


def test_workers_in_turn_have_it():
    """Each worker looks up its rows right after its last push; 5 workers, 23 rows."""
    rng, workers, batch, rounds = np.random.default_rng(1), 5, 9, 4000
    p = zipf(23, 1.0)
    version, pushes = np.zeros(23), 0
    pending = [rng.choice(23, batch, p=p) for _ in range(workers)]
    seen = [version.copy() for _ in range(workers)]
    delays: list[float] = []
    for turn in range(rounds):
        rank = turn % workers
        rows = np.unique(pending[rank])
        delays.extend(version[rows] - seen[rank][rows])
        version[rows] += 1
        pushes += 1
        pending[rank], seen[rank] = rng.choice(23, batch, p=p), version.copy()
    expected = row_delay(touched(p, batch), workers)
    assert np.mean(delays) == pytest.approx(expected.mean, rel=0.02)
    assert np.mean(np.array(delays) > 0) == pytest.approx(expected.shared, rel=0.02)
    found = measured_row_delay(version, pushes, workers)
    assert found.mean == pytest.approx(expected.mean, rel=0.02)


def test_the_estimate_is_right_on_average_from_few_pushes():
    """Ten pushes of rows that are touched rarely: the plain (n / T)^2 would be too large by a tenth of 1 - q."""
    rng, q = np.random.default_rng(2), np.full(50_000, 0.02)
    found = measured_row_delay(rng.binomial(10, q).astype(float), 10, 3)
    assert found.mean == pytest.approx(row_delay(q, 3).mean, rel=0.2)
    assert measured_row_delay(np.array([1.0, 0.0]), 1, 3).mean == 2.0
