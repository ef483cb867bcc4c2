"""The journal: every event goes to every sink, in order, with the time of the run's clock."""

from __future__ import annotations

import errno
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest

from hogwild.config import Config
from hogwild.drivers.instruments.train_lines import pause_s
from hogwild.errors import HogwildError
from hogwild.library.result import history
from hogwild.runs.journal import JOURNAL_BYTES, Event, Journal, JsonLines, mend


class Memory:
    """A sink that keeps all events."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.closings = 0

    def write(self, event: Event) -> None:
        self.events.append(event)

    def close(self) -> None:
        self.closings += 1


def test_every_sink_gets_every_event_at_the_time_of_the_clock():
    first, second, now = Memory(), Memory(), [5.0]
    journal = Journal(first, second, before_s=100.0, clock=lambda: now[0])
    journal.event("train", loss=0.5)
    now[0] = 7.25
    journal.event("eval", test_loss=0.25)
    assert first.events == second.events
    assert first.events == [Event("train", 100.0, {"loss": 0.5}), Event("eval", 102.25, {"test_loss": 0.25})]
    journal.use_clock(lambda: 40.0)
    assert journal.elapsed_s() == 100.0, "this part of the run begins when its clock is set"
    journal.close()
    journal.close()
    assert (first.closings, second.closings) == (1, 1)


def test_the_bytes_of_a_line(tmp_path: Path):
    sink = JsonLines(tmp_path / "metrics.jsonl")
    sink.write(Event("train", 1.23456789, {"b": float("nan"), "a": [1, float("inf")], "name": "ü"}))
    sink.write(Event("fault", 2.0, {}))
    assert (tmp_path / "metrics.jsonl").read_text() == (
        '{"kind": "train", "time": 1.234568, "b": null, "a": [1, null], "name": "ü"}\n{"kind": "fault", "time": 2.0}\n'
    )


def test_before_first_runs_once_and_again_after_a_failure(tmp_path: Path):
    calls = []

    def prepare() -> None:
        calls.append(len(calls))
        if len(calls) == 1:
            raise HogwildError("the disk is full")

    sink = JsonLines(tmp_path / "metrics.jsonl", before_first=prepare)
    with pytest.raises(HogwildError):
        sink.write(Event("train", 0.0, {}))
    assert not sink.path.exists()
    for _ in range(2):
        sink.write(Event("train", 0.0, {}))
    assert calls == [0, 1]
    assert len(sink.path.read_text().splitlines()) == 2


def test_mending_keeps_whole_lines_and_tells_the_last_time(tmp_path: Path):
    path = tmp_path / "metrics.jsonl"
    assert mend(path) == 0.0
    whole = b'{"kind": "train", "time": 1.5}\n{"kind": "eval", "time": 2.5}\n'
    path.write_bytes(whole + b'{"kind": "eval", "ti')
    assert mend(path) == 2.5
    assert path.read_bytes() == whole


def test_lines_wait_while_the_disk_is_full(tmp_path: Path, monkeypatch):
    """The disk takes half a line and is full: nothing of it stays, and it is written with the next one."""
    sink = JsonLines(tmp_path / "metrics.jsonl")
    sink.write(Event("train", 1.0, {}))
    whole = sink.path.read_bytes()

    class Full(io.FileIO):
        def write(self, data: Any) -> int:
            if super().write(bytes(data)[:5]) == 5:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            raise AssertionError

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdopen", lambda descriptor, *_, **__: Full(descriptor, "ab"))
        for second in (2.0, 3.0):
            sink.write(Event("train", second, {}))
            assert sink.path.read_bytes() == whole
        with pytest.raises(HogwildError, match="No space left"):
            sink.close()
    sink.write(Event("fault", 4.0, {}))
    assert [json.loads(line)["time"] for line in sink.path.read_text().splitlines()] == [1.0, 2.0, 3.0, 4.0]


def test_a_journal_of_a_week_can_be_shown():
    elapsed_s, lines = 0.0, 0
    while elapsed_s < 7 * 86_400:
        elapsed_s, lines = elapsed_s + pause_s(elapsed_s), lines + 1
    assert 2_000 < lines < JOURNAL_BYTES / 2_000, "lines of 2 kB, as of some tens of workers"


def test_the_history_of_a_resumed_run_has_each_evaluation_once(tmp_path: Path):
    def line(updates: int, loss: float) -> str:
        facts = {"kind": "eval", "time": 1.0, "epoch": 1, "updates": updates, "samples": updates, "test_loss": loss}
        return json.dumps(facts) + "\n"

    text = "".join(line(updates, 1.0) for updates in (10, 20, 30)) + line(20, 2.0) + line(30, 3.0)
    (tmp_path / "metrics.jsonl").write_text(text)
    found = history(tmp_path, Config())
    assert [(row["updates"], row["test_loss"]) for row in found] == [(10, 1.0), (20, 2.0), (30, 3.0)]
