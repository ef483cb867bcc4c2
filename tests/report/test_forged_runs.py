"""Damaged and forged runs: one line, and no reader that waits."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from written_runs import make

from hogwild import delays
from hogwild.cli.plot import main as plot
from hogwild.cli.report import main
from hogwild.cli.trace import main as trace
from hogwild.errors import DataError, UsageError
from hogwild.report import runs
from hogwild.report.record import Record, records
from hogwild.runs.timeline import TimelineFile


@pytest.mark.parametrize("workers", [10**9, -1, "many", None, 1e3])
def test_a_number_of_workers_that_no_run_has_is_refused(tmp_path: Path, workers: object):
    with pytest.raises(DataError, match="workers: it is no run of hogwild"):
        assert Record.open(make(tmp_path / "a", summary={"workers": workers})).workers


@pytest.mark.parametrize("command", [main, trace, plot])
def test_a_run_that_cannot_be_shown_is_told_in_one_line(
    tmp_path: Path, command: Callable[[list[str]], int], capsys: pytest.CaptureFixture[str]
):
    run = make(tmp_path / "a", [{"kind": "gate", "time": []}, {"kind": "edge"}])
    (run / "summary.json").write_text("{" if command is plot else "{}")
    TimelineFile(run / "timeline.bin").append([(0, bytes(16), 0)])
    (run / "config.yaml").write_bytes(b"\xff" if command is plot else (run / "config.yaml").read_bytes())
    assert command([str(run), "-o", str(tmp_path / ("x.csv" if command is plot else "x.json"))]) != 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("hogwild: error: ")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["metrics.jsonl", "pushes.csv", "summary.json", "timeline.bin"])
def test_a_pipe_in_a_run_keeps_no_reader_waiting(tmp_path: Path, name: str):
    """A forged run may hold one that nobody writes to."""
    run = make(tmp_path / "a")
    (run / name).unlink(missing_ok=True)
    os.mkfifo(run / name)
    if name == "summary.json":
        assert Record.open(run).summary == {}
        with pytest.raises(UsageError, match="not a regular file"):
            delays.parse(f"hist:{run}")
        return
    with pytest.raises(DataError, match="not a regular file"):
        runs.write(records([run]))


@pytest.mark.parametrize("argv", [["RUN", "-o", "x" * 300], ["x" * 300, "-o", "page.html"]])
def test_names_that_are_too_long_are_told(tmp_path: Path, argv: list[str], capsys: pytest.CaptureFixture[str]):
    run = str(make(tmp_path / "a"))
    assert main([run if word == "RUN" else word for word in argv]) != 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("hogwild: error: ")
    assert "File name too long" in line
