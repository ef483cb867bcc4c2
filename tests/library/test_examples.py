"""The examples run, in small."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from scripts import run

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("algorithm", ["rmsprop", "adamw"])
def test_a3c(algorithm):
    done = run(EXAMPLES / "a3c_cartpole.py", "--updates", 40, "--algorithm", algorithm)
    games, length = map(float, re.findall(r"games (\d+), mean length (\d+)", done.stdout)[0])
    assert games > 0
    assert 5 < length <= 500


def test_char_gpt(tmp_path, monkeypatch):
    (tmp_path / "tinyshakespeare").mkdir()
    (tmp_path / "tinyshakespeare" / "input.txt").write_text("the quick brown fox jumps over the lazy dog.\n" * 500)
    monkeypatch.setenv("HOGWILD_DATA", str(tmp_path))
    done = run(EXAMPLES / "char_gpt.py", "--updates", 40, "--batch-size", 16, "--write", 20)
    first, _, written = done.stdout.partition("\n")
    assert float(first.removeprefix("test loss ")) < 2.5  # ln 29 = 3.4 at first
    assert len(written.rstrip("\n")) >= 19
