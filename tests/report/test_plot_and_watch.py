"""Pictures for papers, numbers as CSV, and the screen of a running run."""

from __future__ import annotations

import csv
import fcntl
import json
import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest
import warm
from written_runs import CURVE, evaluation, make, train

from hogwild.cli.plot import main as plot
from hogwild.cli.watch import main as watch
from hogwild.report.record import Record
from hogwild.report.screen import screen, spark

TIMEOUT_S = 60.0


@pytest.mark.parametrize(("suffix", "magic"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")])
def test_a_picture(tmp_path: Path, suffix: str, magic: bytes):
    pytest.importorskip("matplotlib")
    run, out = make(tmp_path / "a"), tmp_path / f"curve{suffix}"
    assert plot([str(run), "-o", str(out), "--y", "test_accuracy", "--x", "time", "--log"]) == 0
    assert out.read_bytes().startswith(magic)


def test_names_are_shown_as_they_are_and_no_link_is_followed(tmp_path: Path):
    pytest.importorskip("matplotlib")
    runs = [str(make(tmp_path / name)) for name in ("_a", "$x^2$", "$\\no$")]
    out, elsewhere = tmp_path / "x.svg", tmp_path / "elsewhere"
    out.symlink_to(elsewhere)
    assert plot([*runs, "-o", str(out)]) == 0
    assert not elsewhere.exists()
    for name in ("_a", "$x^2$", "$\\no$"):
        assert f"<!-- \u200b{name} -->" in out.read_text() or f"<!-- {name} -->" in out.read_text()


def test_the_numbers(tmp_path: Path):
    runs = [
        make(tmp_path / name, [evaluation(3, level), evaluation(5, None)]) for name, level in (("a", 0.5), ("b", 0.25))
    ]
    assert plot([*map(str, runs), "-o", str(tmp_path / "x.csv"), "--y", "test_accuracy", "--x", "updates"]) == 0
    with (tmp_path / "x.csv").open() as file:
        assert list(csv.reader(file)) == [["run", "updates", "test_accuracy"], ["a", "3", "0.5"], ["b", "3", "0.25"]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-o", "x.jpg"], "x.jpg: expected a name that ends in .png, .svg, .pdf, .csv"),
        (["-o", "x.csv", "--y", "test_acuracy"], "Did you mean 'test_accuracy'?"),
        (["-o", "there.csv"], "there.csv exists: choose another name"),
    ],
)
def test_what_cannot_be_plotted_is_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
):
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "a")
    Path("there.csv").touch()
    assert plot(["a", *options]) == 2
    assert message in capsys.readouterr().err


def test_the_screen_shows_curves_delays_and_faults(tmp_path: Path):
    fault = {"kind": "fault", "time": 4.0, "reason": "died", "message": "worker 1 \x1b[2J died", "worker": 1}
    lines = screen(Record.open(make(tmp_path / "a", [*CURVE, fault])), 80)
    text = "\n".join(lines)
    assert lines[0] == "a: asgd, digits, 2 workers"
    assert lines[1] == "ended: done, 29 updates, 232 samples"
    assert "test_accuracy" in text
    assert "worker 1: 11 pushes" in text
    assert "   1 ████████████████████ 50.0 %" in text
    assert "\x1b" not in text, "no control character reaches the terminal"


def test_the_course_of_values():
    assert spark([0.0, 1.0, 2.0, 3.0], 20) == "▁▃▆█"
    assert spark([5.0], 20) == "▁"
    assert len(spark([float(k) for k in range(9999)], 40)) <= 40


def test_a_run_that_goes_on_has_not_ended(tmp_path: Path):
    run = make(tmp_path / "a")
    metrics = run / "metrics.jsonl"
    os.utime(metrics, ns=(1, 1))
    assert Record.open(run).has_ended
    with metrics.open("a") as file:
        file.write(json.dumps(train(30, 0.1)) + "\n")
    os.utime(run / "summary.json", ns=(1, 1))
    assert not Record.open(run).has_ended
    assert screen(Record.open(run), 80)[1] == (
        "3 s, 240 samples, 30 updates, samples/s 80, delay 1.5, loss 0.1, lr 0.1"
    )


def test_a_running_run_shows_its_delays_and_what_its_workers_do(tmp_path: Path):
    parts = [
        {"delay": {"0": 2, "3": 1}, "phase_s": {"1": {"data": 1.0}}},
        {"delay": {"0": 2, "7": 3}, "phase_s": {"0": {"data": 0.5, "gradient": 1.5}, "1": {"lock": 0.25}}},
    ]
    run = make(tmp_path / "a", [train(k + 1, 2.0, interval=part) for k, part in enumerate(parts)])
    (run / "summary.json").unlink()
    lines = screen(Record.open(run), 80)
    assert "delays, 3.00 on average:" in lines
    assert [line.split()[0] for line in lines if "█" in line] == ["0", "3", "7"]
    assert lines[-2:] == ["worker 0: gradient 75 %, data 25 %", "worker 1: lock 100 %"]


def test_without_a_terminal_it_prints_the_state(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run = make(tmp_path / "a")
    assert watch([str(run)]) == 0
    assert capsys.readouterr().out == "ended: done, 29 updates, 232 samples\n"
    assert watch([str(run), "--once"]) == 0
    assert capsys.readouterr().out.startswith("a: asgd, digits, 2 workers\nended: done")


def test_the_watch_of_a_killed_run_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run = make(tmp_path / "a", [train(1, 2.0)])
    (run / "summary.json").unlink()
    assert watch([str(run)]) == 0
    assert capsys.readouterr().out.startswith("no process runs it any more: it was killed, and goes on with --resume.")


def test_a_running_run_is_watched_to_its_end_in_a_terminal(tmp_path: Path):
    """The screen that was there comes back, and the last state stays below the command."""
    run = make(tmp_path / "a", [train(1, 2.0)])
    (run / "summary.json").unlink()
    lock = os.open(run, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)  # as a process that runs it
    ours, its = pty.openpty()
    command = [sys.executable, "-W", "error", "-m", "hogwild", "watch", str(run)]
    process = warm.Popen(command, stdout=its, stderr=subprocess.PIPE, text=True)
    os.close(its)
    said, deadline = b"", time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        if b"loss 2" in said and not (run / "summary.json").exists():
            (run / "summary.json").write_text(json.dumps({"exit_reason": "done", "updates": 1, "samples": 8}))
        if not select.select([ours], [], [], 0.1)[0]:
            continue
        try:
            said += os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
    os.close(ours)
    os.close(lock)
    assert process.communicate(timeout=TIMEOUT_S)[1] == ""
    assert process.returncode == 0
    enter, _, rest = said.partition(b"\x1b[?1049h")
    shown, _, after = rest.rpartition(b"\x1b[?1049l")
    assert enter == b""
    assert b"0 s, 8 samples, 1 updates" in shown
    assert b"ended: done, 1 updates, 8 samples" in after
