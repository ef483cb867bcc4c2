"""Round-robin EASGD, EAMSGD and DOWNPOUR, compared with tables and with runs of the programs."""

from __future__ import annotations

import numpy as np
import pytest
from elastic_recurrences import cycle_radius, downpour, easgd
from elastic_tables import (
    CALM,
    CONCURRENT_BETA,
    CRITICAL_ALPHA,
    CYCLES,
    DOWNPOUR,
    MOMENTUM_ALPHA,
    RADII,
    SAFE_ALPHA,
    agrees,
    groups,
    rows,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from hogwild.theory import downpour as pour
from hogwild.theory import elastic
from hogwild.theory.closed_forms import constant_delay

PERIODS = (1, 4, 16, 64)


def test_table_of_critical_alpha():
    for k, bound, *texts in rows(CRITICAL_ALPHA):
        assert agrees(elastic.safe_alpha(float(k)), bound)
        for workers, text in zip((1, 3, 2, 4, 8, 16), texts, strict=True):
            assert agrees(elastic.critical_alpha(workers, float(k)), text), (k, workers)


def test_table_of_radii():
    for k, alpha, *texts in rows(RADII):
        for workers, text in zip((1, 2, 3, 8, 16), texts, strict=True):
            assert agrees(elastic.radius(workers, float(k), float(alpha)), text), (k, alpha, workers)


def test_table_of_alpha_that_is_safe_for_all_workers():
    for period, exchange, *texts in rows(SAFE_ALPHA):
        for k, text in zip((0.1, 0.5), texts, strict=True):
            assert agrees(elastic.safe_alpha(k, int(period), exchange), text)


def test_table_of_radii_over_the_period():
    for name, k, momentum, *texts in rows(CYCLES):
        for period, text in zip(PERIODS, texts, strict=True):
            if name == "downpour":
                assert agrees(pour.radius(4, float(k), period), text)
            else:
                assert agrees(elastic.radius(4, float(k), 0.225, period, float(momentum)), text)


def test_table_of_momentum():
    for workers, period, k, momentum, text in rows(MOMENTUM_ALPHA):
        assert agrees(elastic.critical_alpha(int(workers), float(k), int(period), float(momentum)), text)


def test_table_of_downpour():
    for workers, *texts in rows(DOWNPOUR):
        for period, text in zip(PERIODS, texts, strict=True):
            assert agrees(pour.critical_k(int(workers), period), text)


def test_table_of_concurrent_reads():
    for workers, text in groups(CONCURRENT_BETA, 2):
        assert agrees(int(workers) * elastic.concurrent_alpha(int(workers), 0.1), text)


@pytest.mark.parametrize("exchange", elastic.EXCHANGES)
@pytest.mark.parametrize("period", [1, 2, 5])
@pytest.mark.parametrize("workers", range(1, 10))
def test_just_outside_the_bound_only_odd_numbers_of_workers_are_unstable(workers, period, exchange):
    bound = elastic.safe_alpha(0.3, period, exchange)
    inside, outside = (
        cycle_radius(easgd(0.3, bound * f, period, exchange=exchange), workers, period) for f in (0.999, 1.001)
    )
    assert inside < 1
    assert (outside > 1) == (workers % 2 == 1)


@pytest.mark.parametrize("momentum", [0.0, 0.8])
@pytest.mark.parametrize("workers", [1, 2, 3, 4, 8])
def test_the_critical_alpha_is_where_the_program_turns_unstable(workers, momentum):
    for exchange in elastic.EXCHANGES:
        alpha = elastic.critical_alpha(workers, 0.2, 3, momentum, exchange)
        inside, outside = (
            cycle_radius(easgd(0.2, alpha * f, 3, momentum, exchange), workers, 3) for f in (0.9999, 1.0001)
        )
        assert inside < 1 < outside


@settings(max_examples=40, deadline=None)
@given(
    workers=st.integers(1, 7),
    period=st.integers(1, 6),
    k=st.floats(0.01, 0.3),  # above, eigenvalues near 0 are ill-conditioned
    alpha=st.floats(0.01, 1.5),
    momentum=st.sampled_from([0.0, 0.5, 0.9]),
    exchange=st.sampled_from(elastic.EXCHANGES),
)
def test_the_radius_is_the_program_s(workers, period, k, alpha, momentum, exchange):
    found = elastic.radius(workers, k, alpha, period, momentum, exchange)
    assert found == pytest.approx(cycle_radius(easgd(k, alpha, period, momentum, exchange), workers, period), rel=1e-6)


@settings(max_examples=40, deadline=None)
@given(workers=st.integers(2, 7), period=st.integers(1, 6), k=st.floats(0.01, 1.9))
def test_the_radius_of_downpour_is_the_program_s(workers, period, k):
    found = cycle_radius(downpour(k, period), workers, period)
    assert pour.radius(workers, k, period) == pytest.approx(found, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("period", [1, 2, 3, 16])
@pytest.mark.parametrize("workers", [1, 2, 3, 5])
def test_downpour_turns_unstable_at_its_limit(workers, period):
    edge = pour.critical_k(workers, period)
    if workers != 2:
        assert cycle_radius(downpour(edge * 0.999, period), workers, period) < 1
        assert cycle_radius(downpour(edge * 1.001, period), workers, period) > 1
    else:  # 1 - (1 - k)^period is flat at its limit
        assert cycle_radius(downpour(edge * 0.6, period), workers, period) < 1
        assert cycle_radius(downpour(edge, period), workers, period) == pytest.approx(1, abs=1e-9)
    if workers > 2:
        assert 1 - (1 - edge) ** period == pytest.approx(2 * np.sin(np.pi / (4 * workers - 2)))


def test_downpour_is_stale_sgd():
    for workers in (1, 2, 4, 9):
        assert pour.critical_k(workers) == pytest.approx(constant_delay("none", workers - 1))


@pytest.mark.parametrize("workers", [1, 4, 16])
def test_the_synchronous_run_turns_unstable_at_the_concurrent_bound(workers):
    k, alpha = 0.1, elastic.concurrent_alpha(workers, 0.1)
    for factor, is_stable in ((0.999, True), (1.001, False)):
        a = alpha * factor
        step = np.diag([1 - k - a] * workers + [1 - workers * a])
        step[:-1, -1] = step[-1, :-1] = a
        assert (max(abs(np.linalg.eigvalsh(step))) < 1) == is_stable
    assert 0.9 / workers < alpha


def test_the_stable_trajectory():
    body = easgd(0.001, 0.0025, 1)
    state, done = np.array([1000.0] * 3 + [0.0] * 3 + [1000.0]), 0
    for tick, text in groups(CALM, 2):
        for now in range(done, int(tick)):
            body(state[:3], state[3:6], state[6:], now % 3, now // 3)
        done = int(tick)
        assert agrees(state[6], text)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 0.1), "0 workers with period 1"),
        ((2, 0.1, 0), "2 workers with period 0"),
        ((2, 0.0), "curvature x lr is 0; a worker alone is stable from 0 to 2"),
        ((2, 1.5, 1, 0.9), "stable from 0 to 1.35714"),
        ((2, 0.1, 1, 1.0), "momentum 1 is not in"),
        ((2, 0.1, 1, 0.0, "pre"), "exchange 'pre' is none of paper, post"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(ValueError, match=message):
        elastic.critical_alpha(*arguments)


def test_more_refusals():
    with pytest.raises(ValueError, match=r"curvature x lr is 1\.2"):
        elastic.safe_alpha(1.2, 4)
    with pytest.raises(ValueError, match="0 workers"):
        pour.critical_k(0)
    with pytest.raises(ValueError, match="period 0"):
        pour.radius(3, 0.1, 0)
