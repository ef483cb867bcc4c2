"""The program of docs/loops.md runs."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import warm

import hogwild

PAGE = Path(__file__).parents[2] / "docs/loops.md"


def test_the_examples_are_one_program_that_runs(tmp_path: Path):
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    script = tmp_path / "mine.py"
    script.write_text("\n".join(blocks))
    done = warm.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    steps, accuracy = re.fullmatch(r"\[(\d+, \d+)\] (\S+)\n", done.stdout.splitlines(keepends=True)[-1]).groups()
    assert sum(map(int, steps.split(", "))) >= 400
    assert float(accuracy) > 0.8
    first = tmp_path / "runs" / "first"
    assert json.loads((first / "summary.json").read_text())["exit_reason"] in ("done", "stopped")
    assert "norm" in json.loads((first / "summary.json").read_text())
    assert set(hogwild.load(first, ema=True)) == {"weight", "bias"}
