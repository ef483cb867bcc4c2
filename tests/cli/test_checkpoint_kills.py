"""A save that is killed at any of its calls into the system: the last checkpoint is whole, the older or the new one."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
import warm
from slow import rest_is_slow

ROOT = Path(__file__).parents[2]
BEFORE = {"first": set(), "next": {6.0}, "same": {7.0}, "twice": {7.0}}


@pytest.mark.parametrize(
    "scenario",
    rest_is_slow(["same", "next", "first", "same+plain", "twice+plain"], {"same"}),
)
def test_the_last_checkpoint_is_whole_wherever_a_save_is_killed(tmp_path: Path, scenario: str):
    script = Path(__file__).with_name("killed_saves.py")
    done = warm.run(
        [sys.executable, script, tmp_path, scenario],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=250,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["positions"] > 20
    assert set(found["seen"]) == BEFORE[scenario.removesuffix("+plain")] | {100.0, 101.0}
