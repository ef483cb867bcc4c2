"""Sequences of sparse rounds: each round, and the product of all."""

from __future__ import annotations

import numpy as np
import pytest

from hogwild.theory.mixing import sequence_error
from hogwild.topology import mixing
from hogwild.topology.sequences import factors, simple

LENGTHS = {
    "base-2": "3:3 4:2 5:5 6:4 7:5 8:3 10:6 12:5 16:4 25:9 32:5",
    "base-3": "3:1 5:3 6:2 7:4 8:3 10:4 12:3 16:4",
}
"""Number of workers -> number of rounds, from the authors' own program."""


@pytest.mark.parametrize("name", LENGTHS)
def test_lengths(name):
    for n, length in (map(int, pair.split(":")) for pair in LENGTHS[name].split()):
        assert len(mixing(name, n).rounds) == length, n


@pytest.mark.parametrize("k", [1, 2, 3, 4, 6])
def test_base_is_exact_for_every_number_of_workers(k):
    for n in range(1, 41):
        found = mixing(f"base-{k + 1}", n)
        assert found.symmetric
        assert sequence_error(found.rounds) < 1e-12
        peers = [len(found.neighbours(rank, number)) for rank in range(n) for number in range(len(found.rounds))]
        assert max(peers) <= k, n
        for matrix in found.rounds:
            assert (matrix >= 0).all()
            assert abs(matrix.sum(axis=0) - 1).max() < 1e-12


def test_the_simple_sequence_is_exact_too_and_never_shorter():
    for n in (5, 6, 7, 10, 12, 22, 23, 33):
        rounds = simple(n, 1)
        assert sequence_error(rounds) < 1e-12
        assert len(rounds) >= len(mixing("base-2", n).rounds)
    assert len(simple(6, 1)) == 5


def test_fewest_factors():
    assert factors(1, 2) == ()
    assert factors(36, 6) == (6, 6)
    assert len(factors(24, 4) or ()) == 3
    assert factors(14, 6) is None
    for n in range(2, 60):
        found = factors(n, 5)
        assert found is None or np.prod(found) == n


def test_one_peer_exponential():
    for n, error in ((2, 0.0), (4, 0.0), (8, 0.0), (16, 0.0), (5, 0.306), (6, 0.354), (12, 0.354)):
        found = mixing("one-peer-exponential", n)
        assert sequence_error(found.rounds) == pytest.approx(error, abs=5.01e-4 if error else 1e-15)
        for number in range(len(found.rounds)):
            assert found.receivers(1, number) == [((1 + 2**number) % n, 0.5)]
            assert found.neighbours(1, number) == [((1 - 2**number) % n, 0.5)]
    assert not mixing("one-peer-exponential", 8).symmetric


def test_one_peer_hypercube():
    for n in (1, 2, 8, 32):
        found = mixing("one-peer-hypercube", n)
        assert found.symmetric
        assert sequence_error(found.rounds) < 1e-15
    assert [found.neighbours(5, number) for number in range(5)] == [[(5 ^ 2**t, 0.5)] for t in range(5)]


def test_a_round_number_goes_on_over_the_periods():
    found = mixing("base-2", 5)
    for number in range(5):
        assert found.neighbours(4, number) == found.neighbours(4, number + 15)
        assert found.self_weight(4, number) == found.self_weight(4, number + 5)


def test_replicas_agree_on_their_mean_after_one_period():
    x = np.random.default_rng().normal(size=(11, 7))
    mean = x.mean(axis=0)
    found = mixing("base-2", 11)
    for number in range(len(found.rounds)):
        mixed = [found.self_weight(i, number) * x[i] for i in range(11)]
        x = np.array([mixed[i] + sum(w * x[j] for j, w in found.neighbours(i, number)) for i in range(11)])
    assert x == pytest.approx(np.tile(mean, (11, 1)), abs=1e-12)
