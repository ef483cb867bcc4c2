"""The tutorial, as a reader would follow it; and the plot of the theory page."""

from __future__ import annotations

import importlib
import json
import os
import re
import shlex
import sys
from pathlib import Path

import pytest
import warm
from test_pages import FENCE, ROOT

from hogwild.cli import main as cli
from hogwild.theory import RULES
from hogwild.theory.stability import threshold

TUTORIAL = ROOT / "docs/tutorial.md"


def follow(blocks: list[tuple[str, str]], folder: Path) -> list[str]:
    """Runs the blocks of sh and python in their order, in one folder; returns what each printed."""
    said = []
    for language, code in blocks:
        lines = [code] if language == "python" else code.replace("\\\n", " ").splitlines()
        for line in lines:
            command = ["-m", "hogwild", *shlex.split(line)[1:]]
            if language == "python":
                (folder / "mine.py").write_text(line)
                command = ["mine.py"]
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            command = [sys.executable, "-W", "error", *command]
            done = warm.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
            assert done.returncode == 0, f"{line}\n{done.stderr}"
            said.append(done.stdout + done.stderr)
    return said


@pytest.fixture
def blocks() -> list[tuple[str, str]]:
    found = FENCE.findall(TUTORIAL.read_text())
    assert {language for language, _ in found} == {"sh", "python"}
    return found


def test_the_first_run(blocks: list[tuple[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(shlex.split(blocks[0][1])[1:]) == 0
    assert 14 < json.loads(Path("runs/one/summary.json").read_text())["delay"]["mean"] < 15


def test_the_whole_of_it(blocks: list[tuple[str, str]], tmp_path: Path):
    said = follow(blocks, tmp_path)
    assert any("0.101" in text for text in said)  # the threshold that the page names
    accuracy, delay = map(float, re.search(r"^(\S+) (\S+)$", said[-1], re.MULTILINE).groups())
    assert accuracy > 0.8
    assert delay > 0
    assert (tmp_path / "grid.html").stat().st_size < 1 << 20
    assert (tmp_path / "real.pt").exists()


def test_the_plot_of_the_theory_page_needs_nothing_and_has_the_numbers_of_the_theory():
    page = (ROOT / "docs/threshold.html").read_text()
    assert "http" not in page
    assert "<script" not in page
    row = re.findall(r'<tr><th scope="row">16</th>(.*?)</tr>', page)[2]  # of momentum 0.9
    expected = [threshold(rule, 16, 0.9 * (rule != "none")) / (1 if rule == "none" else 0.1) for rule in RULES]
    assert [float(cell) for cell in re.findall(r">([\d.e-]+)</td>", row)] == pytest.approx(expected, rel=1e-3)


def test_the_plot_of_the_theory_page_is_current(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(ROOT / "tools")
    threshold_plot = importlib.import_module("threshold_plot")
    assert (ROOT / "docs/threshold.svg").read_text() == threshold_plot.svg(), "python tools/threshold_plot.py"
    assert (ROOT / "docs/threshold.html").read_text() == threshold_plot.html(), "python tools/threshold_plot.py"
