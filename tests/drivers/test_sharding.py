"""The division of the training set: every sample has one owner, and each kind has its stated distribution."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hogwild.errors import UsageError
from hogwild.tasks import load
from hogwild.tasks.classes import class_numbers
from hogwild.tasks.sharding import is_shard, parts

KINDS = ("iid", "contiguous", "label", "dirichlet:5")


def classes_of(samples: int, number: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(number, size=samples)


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(KINDS), samples=st.integers(40, 400), workers=st.integers(1, 9), number=st.integers(1, 12),
    seed=st.integers(0, 2**63 - 1),
)  # fmt: skip
def test_every_sample_has_one_owner_and_the_seed_decides(kind: str, samples: int, workers: int, number: int, seed: int):
    classes = classes_of(samples, number, seed)
    try:
        found = parts(kind, samples, workers, seed, classes)
    except UsageError:
        assert kind == "dirichlet:5"
        return
    assert len(found) == workers
    assert sorted(np.concatenate(found)) == list(range(samples))
    for part, again in zip(found, parts(kind, samples, workers, seed, classes), strict=True):
        assert np.array_equal(part, again)


def test_five_workers_have_two_of_the_ten_digits_each():
    classes = class_numbers(load("digits"), "--shard label").numpy()
    found = parts("label", len(classes), 5, 0, classes)
    assert [sorted(set(classes[part])) for part in found] == [[2 * rank, 2 * rank + 1] for rank in range(5)]


@pytest.mark.parametrize("workers", [3, 4, 7, 20])
def test_by_label_means_equal_slices_where_workers_do_not_divide_the_classes(workers: int):
    classes = classes_of(1003, 10, 1)
    found = parts("label", 1003, workers, 0, classes)
    assert max(map(len, found)) - min(map(len, found)) <= 1
    in_order = classes[np.concatenate(found)]
    assert (np.diff(in_order) >= 0).all()
    assert len(set(classes[found[0]])) <= 10 // workers + 2


def test_iid_parts_are_equal_and_alike_and_contiguous_ones_are_slices():
    classes = np.sort(classes_of(5001, 10, 2))
    found = parts("iid", 5001, 4, 3)
    assert sorted(map(len, found)) == [1250, 1250, 1250, 1251]
    for part in found:  # of 5001 sorted samples, a random quarter: 125 +- 11 of each class
        assert np.abs(np.bincount(classes[part]) - np.bincount(classes) / 4).max() < 50
    assert not np.array_equal(found[0], parts("iid", 5001, 4, 4)[0])
    slices = parts("contiguous", 5001, 4, 3)
    assert np.array_equal(np.concatenate(slices), np.arange(5001))
    assert sorted(map(len, slices)) == [1250, 1250, 1250, 1251]


@pytest.mark.parametrize("alpha", [0.3, 1.0, 10.0])
def test_dirichlet_shares_have_their_mean_and_variance(alpha: float):
    """Of a component: mean 1 / N, variance (N - 1) / (N^2 (N alpha + 1)); 600 classes of 50 samples."""
    workers, classes = 4, np.repeat(np.arange(600), 50)
    found = parts(f"dirichlet:{alpha}", len(classes), workers, 7, classes)
    shares = np.stack([np.bincount(classes[part], minlength=600) for part in found]) / 50
    variance = (workers - 1) / (workers**2 * (workers * alpha + 1))
    assert shares.mean() == pytest.approx(1 / workers)
    assert np.abs(shares.mean(1) - 1 / workers).max() < 4 * np.sqrt(variance / 600)
    assert shares.var() == pytest.approx(variance, rel=0.15)
    assert any(part[0] > part[1] for part in found), "the samples of a class are divided at random"


def test_a_worker_without_samples_is_refused_in_one_line():
    classes = np.repeat(np.arange(10), 14)
    with pytest.raises(UsageError) as caught:
        parts("dirichlet:0.001", 140, 8, 0, classes)
    assert "without any of 140 samples" in str(caught.value)
    assert "larger ALPHA" in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="worker 3 of 5"):
        parts("iid", 3, 5, 0)


def test_valid_and_invalid_shards():
    assert all(map(is_shard, ("none", "iid", "contiguous", "label", "dirichlet:0.1", "dirichlet:1e2")))
    wrong = ("", "label:2", "dirichlet", "dirichlet:", "dirichlet:0", "dirichlet:-1", "dirichlet:inf", "dirichlet:nan")
    assert not any(map(is_shard, wrong))
