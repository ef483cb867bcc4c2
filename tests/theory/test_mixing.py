"""Spectra of mixing matrices, D², random pairs and one-sided pulls, compared with tables and with real averaging."""

from __future__ import annotations

import math

import numpy as np
import pytest
from elastic_tables import D2_RING, PAIRS, PULLS, SPECTRA, agrees

from hogwild.theory.mixing import (
    d2_contraction,
    d2_factor,
    one_sided_pull,
    random_pairs,
    sequence_error,
    spectrum,
)
from hogwild.topology import mixing


def test_table_of_spectra():
    for line in SPECTRA.strip().splitlines():
        name, n, *texts = line.split()
        found = spectrum(mixing(name, int(n)).rounds[0])
        for quantity, text in zip(("lambda_2", "gap", "lambda_min", "sigma_2", "steps"), texts, strict=True):
            assert text == "-" or agrees(getattr(found, quantity), text), (name, n, quantity, found)


def test_formulas_of_the_table():
    for n in (4, 5, 8, 16, 32):
        assert spectrum(mixing("ring", n).rounds[0]).lambda_2 == pytest.approx((1 + 2 * math.cos(2 * math.pi / n)) / 3)
    for n in (4, 8, 16, 64):
        exponential = spectrum(mixing("exponential-directed", n).rounds[0])
        assert exponential.sigma_2 == pytest.approx(1 - 2 / (1 + math.log2(n)))
        assert spectrum(mixing("star", n, "metropolis").rounds[0]).lambda_2 == pytest.approx(1 - 1 / n)


def test_extremes():
    assert spectrum(np.eye(1)) == spectrum(mixing("ring", 1).rounds[0])
    assert spectrum(np.eye(1)).sigma_2 == 0
    assert spectrum(np.eye(3)).steps == math.inf
    assert spectrum(np.array([[0.4, 0.6], [0.6, 0.4]])).lambda_2 == pytest.approx(-0.2)


def test_d2_on_a_ring():
    for a, factor in (pair.split() for pair in D2_RING):
        matrix = mixing("ring", 8).rounds[0] if a == "1/3" else mixing("ring", 8, self_weight=float(a)).rounds[0]
        assert agrees(d2_contraction(matrix), factor)
        if a != "1/3":
            assert spectrum(matrix).lambda_min == pytest.approx(2 * float(a) - 1)


def test_d2_factor_is_the_largest_root():
    for value in np.random.default_rng().uniform(-1, 1, 20):
        roots = np.roots([1, -2 * value, value])
        assert d2_factor(value) == pytest.approx(max(abs(roots)))
    assert d2_factor(-1 / 3) == pytest.approx(1.0, abs=1e-15)
    assert d2_factor(-0.33) < 1 < d2_factor(-0.34)


@pytest.mark.parametrize(("self_weight", "converges"), [(1 / 3, False), (0.4, True)])
def test_d2_without_gradients_agrees_only_above_a_third(self_weight, converges):
    matrix = mixing("ring", 8, self_weight=self_weight).rounds[0]
    x = np.random.default_rng().normal(size=(8, 200))
    before, now = x, matrix @ x
    apart = []
    for _ in range(400):
        before, now = now, matrix @ (2 * now - before)
        apart.append(np.sqrt(np.mean((now - now.mean(axis=0)) ** 2)))
    assert now.mean(axis=0) == pytest.approx(x.mean(axis=0), abs=1e-9)
    if converges:
        assert apart[-1] < 1e-12
    else:
        assert apart[-1] == pytest.approx(apart[-200], rel=1e-3)
        assert apart[-1] > 0.05


def test_d2_needs_a_symmetric_matrix():
    with pytest.raises(ValueError, match="symmetric"):
        d2_contraction(mixing("exponential-directed", 5).rounds[0])
    assert d2_contraction(np.eye(1)) == 0


def test_table_of_random_pairs():
    for line in PAIRS.strip().splitlines():
        name, *texts = line.split()
        for n, text, after in zip((4, 8, 16), texts[:3], texts[3:], strict=True):
            factor = random_pairs(n, mixing(name, n).edges())
            assert agrees(factor, text)
            assert agrees(factor**n, after)


@pytest.mark.parametrize(
    ("name", "n", "factor"),
    [("ring", 8, 0.9330), ("ring", 16, 0.9906), ("star", 6, 0.8606), ("hypercube", 8, 0.8801), ("complete", 8, 0.8571)],
)
def test_long_run_factor_of_random_pairs(name: str, n: int, factor: float):
    assert round(random_pairs(n, mixing(name, n).edges()), 4) == factor


@pytest.mark.parametrize(("name", "n"), [("torus", 9), ("star", 7), ("ring", 2), ("ring", 5)])
def test_random_pairs_by_enumeration(name: str, n: int):
    """The largest eigenvalue of E[W (x) W] on all vectors without the mean, written out as a matrix [n^2, n^2]."""
    edges = mixing(name, n).edges()
    expected = np.zeros((n * n, n * n))
    for i, j in edges:
        event = np.eye(n)
        event[np.ix_([i, j], [i, j])] = 0.5
        event -= 1 / n
        expected += np.kron(event, event) / len(edges)
    assert max(np.linalg.eigvalsh(expected)) == pytest.approx(random_pairs(n, edges), abs=1e-12)


@pytest.mark.parametrize(("name", "n", "start", "stop"), [("ring", 8, 40, 80), ("star", 6, 10, 30)])
def test_random_pairs_by_simulation(name: str, n: int, start: int, stop: int):
    """20,000 runs of random averages: E||x - mean||^2 falls by the long-run factor, not by that of one event."""
    random = np.random.default_rng(3)
    runs, edges = np.arange(20_000), np.array(mixing(name, n).edges())
    x = random.normal(size=(len(runs), n))
    squares = []
    for _ in range(stop):
        i, j = edges[random.integers(len(edges), size=len(runs))].T
        x[runs, i] = x[runs, j] = (x[runs, i] + x[runs, j]) / 2
        squares.append(np.mean(x.var(axis=1)))
    measured = (squares[stop - 1] / squares[start - 1]) ** (1 / (stop - start))
    assert measured == pytest.approx(random_pairs(n, edges.tolist()), abs=0.004)


def test_random_pairs_on_graphs_that_mix_slowly_or_never():
    """A ring of 40 in a fraction of a second: E[W (x) W] has 2.6 million elements, which are never written out."""
    assert random_pairs(40, mixing("ring", 40).edges()) == pytest.approx(0.999385, abs=1e-6)
    assert random_pairs(4, [(0, 1), (2, 3)]) == pytest.approx(1.0, abs=1e-12)


def test_no_pairs():
    with pytest.raises(ValueError, match="1 workers without an edge never average"):
        random_pairs(1, [])


@pytest.mark.parametrize("n", [2, 3, 4, 8])
def test_one_sided_pull_by_enumeration(n):
    """In the steady state, E w w^T is the eigenvector of the average over all pulls."""
    events = []
    for i, j in ((i, j) for i in range(n) for j in range(n) if i != j):
        event = np.eye(n)
        event[i, [i, j]] = 0.5
        events.append(np.kron(event.T, event.T))
    values, vectors = np.linalg.eig(np.mean(events, axis=0))
    second = vectors[:, np.argmax(values.real)].real.reshape(n, n)
    second /= second.sum()  # (sum w)^2 = 1
    assert np.trace(second) - 1 / n == pytest.approx(one_sided_pull(n), abs=1e-10)


def test_table_of_one_sided_pulls():
    """The values of the table are averages over simulated runs. They agree up to the error of these averages."""
    for n, squared, root in (line.split() for line in PULLS):
        assert one_sided_pull(int(n)) == pytest.approx(float(squared), abs=2.5e-3)
        assert math.sqrt(one_sided_pull(int(n))) == pytest.approx(float(root), abs=8e-3)


def test_order_of_a_sequence():
    one, two = np.array([[0.5, 0.5, 0], [0.5, 0.5, 0], [0, 0, 1]]), np.array([[1, 0, 0], [0, 0.5, 0.5], [0, 0.5, 0.5]])
    assert sequence_error([one, two]) == pytest.approx(np.linalg.norm(two @ one - 1 / 3))
