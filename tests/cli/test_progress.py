from __future__ import annotations

import io
import math
import sys
import time
from types import SimpleNamespace

import pytest

from hogwild.runs.console import Console, Status, thousands

STATUS = Status(
    done=500,
    total=1000,
    epoch=1.5,
    loss=0.03125,
    score=0.958,
    metric="accuracy",
    samples_per_s=70_700.0,
    delay_mean=1.04,
    delay_p95=3,
    lr=0.1,
    workers_alive=2,
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_line_shows_what_is_known():
    assert STATUS.line() == "loss 0.03125  accuracy 0.958  70.7 k samples/s  delay 1.0  p95 3  lr 0.1  workers 2"
    assert Status(0, 10, lr=0.1, edge=0.8349, workers_alive=2).line() == "lr 0.1  edge 0.83  workers 2"
    assert Status(0, 10, loss=math.nan, workers_alive=0).line() == "workers 0"
    boxes = Status(0, 10, boxes=2, exchanges=31, lag=12.34, sent_per_s=1_234_567.0)
    assert boxes.line() == "boxes 2  exchanges 31  lag 12.3  sends 1.23 M bytes/s"


def test_the_bar_goes_to_stderr_and_moves(monkeypatch, capsys):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with Console() as console:
        console.update(STATUS)
        console.update(Status(1000, 1000, epoch=2.0))
    text = terminal.getvalue()
    assert "500/1.00k" in text.replace("0.50k", "500")
    assert "1.00k/1.00k" in text
    assert "accuracy 0.958" in text
    assert capsys.readouterr().out == ""


def test_a_file_gets_few_lines_and_whole_ones(capsys, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with Console() as console:
        for samples in range(0, 1001, 10):
            console.update(Status(samples, 1000, epoch=samples / 500, loss=0.5))
            now[0] += 0.25
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "epoch 0.8: 400 of 1 k samples in 10 s, 15 s left, loss 0.5",
        "epoch 1.6: 800 of 1 k samples in 20 s, 5 s left, loss 0.5",
        "epoch 2: 1 k of 1 k samples in 25 s, loss 0.5",
    ]


def test_an_evaluation_is_shown_as_such(capsys, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with Console() as console:
        console.update(Status(500, 1000, epoch=1.0))
        now[0] += 11
        with console.doing("evaluating"):
            pass
        now[0] += 11
        console.update(Status(500, 1000, epoch=1.0))
    assert capsys.readouterr().err.splitlines() == [
        "epoch 1, evaluating: 500 of 1 k samples in 11 s, 11 s left",
        "epoch 1: 500 of 1 k samples in 22 s, 22 s left",
    ]


def test_a_run_without_an_end_counts_updates(capsys):
    with Console() as console:
        console.update(Status(12, None, epoch=None, unit="updates", lr=0.1))
    assert capsys.readouterr().err == "12 updates in 0 s, lr 0.1\n"


def test_a_notebook_gets_a_bar_on_stdout(capsys, monkeypatch):
    shell = type("ZMQInteractiveShell", (), {})()
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    with Console() as console:
        console.update(STATUS)
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "\repoch 1.5" in captured.out
    assert "accuracy 0.958" in captured.out


def test_a_resumed_run_starts_where_it_was(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with Console() as console:
        console.update(STATUS)
        assert console._bar is not None
        assert (console._bar.initial, console._bar.n) == (500, 500)
        console.update(Status(400, 2000))
        assert (console._bar.n, console._bar.total) == (400, 2000)


def test_warnings_and_lines(capsys):
    lines: list[str] = []
    with Console(log=lines.append) as console:
        console.update(STATUS)
        console.warn("worker 1 is slow")
        console.info("started")
    captured = capsys.readouterr()
    assert "hogwild: warning: worker 1 is slow\n" in captured.err
    assert captured.out == "started\n"
    assert lines == ["hogwild: warning: worker 1 is slow", "started"]


def test_quiet_keeps_warnings_and_the_log(capsys):
    lines: list[str] = []
    with Console(quiet=True, log=lines.append) as console:
        console.update(STATUS)
        console.info("started")
        console.warn("worker 1 is slow")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "hogwild: warning: worker 1 is slow\n"
    assert lines == ["started", "hogwild: warning: worker 1 is slow"]


def test_json_leaves_stdout_to_the_result(capsys):
    with Console(json=True) as console:
        console.info("started")
        console.update(STATUS)
        console.warn("slow")
        console.result('{"a": 1}')
    captured = capsys.readouterr()
    assert captured.out == '{"a": 1}\n'
    assert "started" in captured.err


@pytest.mark.parametrize(("value", "text"), [(3.14159, "3.14"), (812, "812"), (70_700, "70.7 k"), (1.2e6, "1.2 M")])
def test_thousands(value, text):
    assert thousands(value) == text
