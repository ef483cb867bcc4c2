"""Round-robin ADMM: the matrix of the paper, its radius, the unstable region, and the chaos demonstration."""

from __future__ import annotations

import numpy as np
import pytest
from elastic_tables import ADMM, ADMM_REGION, CHAOS, agrees, groups, rows

from hogwild.theory import admm


def written_out(p: int, lr: float, rho: float) -> np.ndarray:
    """The product F3 F2 F1 of all ticks, with the three matrices of the paper."""
    product = np.eye(2 * p + 1)
    e = lr * rho
    for i in range(p):
        f1, f2, f3 = np.eye(2 * p + 1), np.eye(2 * p + 1), np.eye(2 * p + 1)
        f1[2 * i, [2 * i, 2 * i + 1, -1]] = 1, -1, 1
        f2[2 * i + 1, [2 * i, 2 * i + 1, -1]] = e / (1 + e), (1 - lr) / (1 + e), e / (1 + e)
        f3[-1] = [-1 / p, 1 / p] * p + [0]
        product = f3 @ f2 @ f1 @ product
        if p > 1:  # a tick does not change the other workers
            assert abs(np.linalg.eigvals(f3 @ f2 @ f1)).max() == pytest.approx(1, abs=1e-7)
    return product


def test_the_cycle_is_the_product_of_the_paper_s_matrices():
    rng = np.random.default_rng()
    for p in (1, 2, 3, 5):
        lr, rho = rng.uniform(1e-3, 0.5, (2, 3)), rng.uniform(0.1, 10, 3)
        found = admm.cycle(p, lr, rho)
        assert found.shape == (2, 3, 2 * p + 1, 2 * p + 1)
        for i, j in np.ndindex(2, 3):
            assert found[i, j] == pytest.approx(written_out(p, lr[i, j], rho[j]), abs=1e-12)


def test_table_of_radii():
    for lr, rho, *texts in rows(ADMM):
        for p, text in zip((2, 3, 8), texts, strict=True):
            assert agrees(float(admm.radius(p, float(lr), float(rho))), text), (lr, rho, p)


def test_table_of_the_region():
    """The table's peaks are the highest points of a grid. The true peaks are at least as high, and near them."""
    for rho, p, edge, height, at in rows(ADMM_REGION):
        found = admm.region(int(p), float(rho))
        assert agrees(found.edge, edge)
        assert float(admm.radius(int(p), float(at), float(rho))) - 1 == pytest.approx(float(height), rel=2e-4)
        assert float(height) * (1 - 1e-6) <= found.radius - 1 <= float(height) * (1 + 4e-4)
        assert found.peak == pytest.approx(float(at), rel=0.04)


@pytest.mark.parametrize("p", [3, 8])
def test_outside_the_region_it_converges(p):
    for rho in (0.5, 3.0, 40.0):
        edge = admm.region(p, rho).edge
        assert admm.radius(p, np.array([edge * 0.01, edge * 0.5, edge * 0.999]), rho).min() > 1
        assert admm.radius(p, np.linspace(edge * 1.001, 0.05, 9), rho).max() < 1


def test_two_workers_never_diverge():
    assert admm.region(2, 2.5) == admm.region(1, 1.0) == admm.Region(0.0, 0.0, 0.0)
    assert admm.radius(2, np.linspace(1e-4, 0.05, 40), np.array([[0.5], [1], [2.5], [5], [10]])).max() < 1


@pytest.mark.slow
def test_chaos():
    found = admm.trajectory(3, 0.001, 2.5, 1000.0, 50000)
    for tick, text in groups(CHAOS, 2):
        assert found[int(tick) - 1] == pytest.approx(float(text), rel=3e-12), tick


def test_refusals():
    with pytest.raises(ValueError, match="rho is 0"):
        admm.region(3, 0.0)
    with pytest.raises(ValueError, match="workers >= 1"):
        admm.cycle(0, 0.1, 1.0)
    with pytest.raises(ValueError, match="lr > 0"):
        admm.radius(3, np.array([0.1, 0.0]), 1.0)
