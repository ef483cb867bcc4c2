"""The timed worker steps, and its data and gradient are left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.rest import CASES, Steps


@pytest.mark.parametrize("name", ["digits-mlp gap-aware", "159 buffers"])
def test_the_rest_of_a_step_is_timed(name: str, tmp_path: Path):
    steps = Steps(CASES[name], tmp_path)
    assert steps(3) > 0
    assert steps._timer.seconds > 0
    assert steps._worker.versions.version == 3
