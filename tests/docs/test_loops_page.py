"""The program of docs/loops.md runs, and the commands of that page go on with its run."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path

import warm
from test_pages import FENCE

import hogwild

PAGE = Path(__file__).parents[2] / "docs/loops.md"
BLOCKS = FENCE.findall(PAGE.read_text())


def python(*words: str, folder: Path) -> str:
    done = warm.run([sys.executable, *words], cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{words}\n{done.stderr}"
    return done.stdout


def program(folder: Path) -> str:
    """Runs the blocks of Python as one program; what it has printed."""
    (folder / "mine.py").write_text("\n".join(code for language, code in BLOCKS if language == "python"))
    return python("mine.py", folder=folder)


def test_the_examples_are_one_program_that_runs(tmp_path: Path):
    last = program(tmp_path).splitlines()[-1]
    steps, accuracy = re.fullmatch(r"\[(\d+, \d+)\] (\S+)", last).groups()
    assert sum(map(int, steps.split(", "))) >= 400
    assert float(accuracy) > 0.8
    first = tmp_path / "runs" / "first"
    assert json.loads((first / "summary.json").read_text())["exit_reason"] in ("done", "stopped")
    assert "norm" in json.loads((first / "summary.json").read_text())
    assert set(hogwild.load(first, ema=True)) == {"weight", "bias"}


def test_the_commands_go_on_with_its_run(tmp_path: Path):
    program(tmp_path)
    (commands,) = [code for language, code in BLOCKS if language == "sh"]
    for line in commands.splitlines():
        python("-m", *shlex.split(line, comments=True), folder=tmp_path)
    assert (tmp_path / "model.safetensors").exists()
