"""The algorithms reproduce the recorded results on digits, every 64th parameter."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from recorded import LONG, RECORDED, SHORT, numbers, result, runs
from slow import rest_is_slow

RUNS = runs()
NUMBERS = json.loads(RECORDED.read_text())


def test_every_run_is_recorded():
    assert NUMBERS.keys() == RUNS.keys(), "record new algorithms: python tests/algorithms/recorded.py --write"


# Runs with options have a blank in their name.
@pytest.mark.parametrize("updates", rest_is_slow([SHORT, LONG], {SHORT}))
@pytest.mark.parametrize("name", rest_is_slow(sorted(RUNS), {name for name in RUNS if " " not in name}))
def test_a_run_ends_where_it_did_when_it_was_recorded(name: str, updates: int, tmp_path: Path):
    found = numbers(result(RUNS[name], tmp_path, updates))
    np.testing.assert_allclose(found, NUMBERS[name][str(updates)], rtol=1e-9, atol=1e-11)
