from __future__ import annotations

import pytest

from hogwild.drivers.checkpoints.compatibility import changes, differences, require_compatible
from hogwild.errors import CheckpointError

SAVED = {
    "model": {"fc1.weight": [256, 784], "fc1.bias": [256]},
    "algorithm": "shifted",
    "dtype": "float32",
    "workers": 4,
    "lr": 0.1,
    "samples": 1000,
}


def test_the_same_run_fits():
    assert require_compatible({**SAVED, "samples": 0}, SAVED) == []


def test_a_changed_worker_count_is_allowed_and_reported():
    assert differences({**SAVED, "workers": 2}, SAVED) == []
    assert changes({**SAVED, "workers": 2, "lr": 0.2}, SAVED) == [
        "workers 4 -> 2",
        "lr 0.1 -> 0.2",
        "private buffers go to the ranks that remain; new ranks start with fresh ones",
    ]


def test_all_differences_in_one_message():
    now = {
        "model": {"fc1.weight": [128, 784], "fc2.weight": [10, 128]},
        "algorithm": "asgd",
        "dtype": "float64",
    }
    with pytest.raises(CheckpointError) as caught:
        require_compatible(now, SAVED)
    assert str(caught.value) == (
        "cannot resume: fc1.weight is [256,784] in the checkpoint, [128,784] here; "
        "fc1.bias [256] is only in the checkpoint; fc2.weight [10,128] is not in the checkpoint; "
        "algorithm shifted -> asgd; dtype float32 -> float64. "
        "Start a new run, or resume with the old settings."
    )
    assert caught.value.exit_code == 5


def test_facts_of_one_side_only_are_not_compared():
    assert differences({"model": {"w": [1]}}, {}) == []
    assert changes({}, SAVED) == []
