"""The algorithms reproduce the recorded results: 200 updates on digits, every 64th parameter."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from recorded import RECORDED, numbers, result, runs
from slow import rest_is_slow

RUNS = runs()
NUMBERS = json.loads(RECORDED.read_text())


def test_every_run_is_recorded():
    assert NUMBERS.keys() == RUNS.keys(), "record new algorithms: python tests/algorithms/recorded.py --write"


RECORDED_NAMES = sorted(NUMBERS.keys() & RUNS.keys())


# Runs with options have a blank in their name.
@pytest.mark.parametrize("name", rest_is_slow(RECORDED_NAMES, {name for name in RECORDED_NAMES if " " not in name}))
def test_a_run_ends_where_it_did_when_it_was_recorded(name: str, tmp_path: Path):
    np.testing.assert_allclose(numbers(result(RUNS[name], tmp_path)), NUMBERS[name], rtol=1e-9, atol=1e-11)
