"""A killed GPU script keeps every row that was on disk, leaves no process, and continues where it was cut off."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import warm

from bench.gpu import plan, runner
from bench.gpu.journal import Journal
from bench.gpu.plan import Part
from bench.gpu.report import write
from bench.gpu.scene import Scene

ROOT = Path(__file__).parents[2]
SIZES = (7, 5, 3)
# A part that measures SIZES, three rows each, and takes its time; it says which process it is.
SLOW_PART = """
import os, sys, time
from pathlib import Path
import torch
from bench.gpu.journal import Journal
from bench.gpu.scene import Scene
scene = Scene(torch.device("cpu"), Journal(Path(sys.argv[1])), "push")
for n in scene.sizes("push", 7, 5, 3):
    for name in "abc":
        scene.record("push", name, n=n, pid=os.getpid())
        time.sleep(float(sys.argv[2]))
"""
# The script with this part for all of its plan.
SCRIPT = """
import sys
from bench.gpu import __main__ as script, plan
nap_s = sys.argv.pop()
plan.parts = lambda *_: [plan.Part("push", 60.0, (sys.executable, "-c", {part!r}, "JOURNAL", nap_s))]
script.find_gpu = lambda: "none"
sys.exit(script.main(sys.argv[1:]))
"""


def start(out: Path, nap_s: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SCRIPT.format(part=SLOW_PART), "--dry-run", "--out", str(out), str(nap_s)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    with (out / "said.txt").open("wb") as said:
        return warm.Popen(command, env=environment, stdout=said)


@pytest.mark.slow
def test_killed_at_a_random_moment_it_keeps_its_rows_and_continues(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "results.jsonl")
    wanted = random.Random().randint(1, 3 * len(SIZES) - 1)
    process = start(tmp_path, 0.3)
    deadline = time.monotonic() + 90
    while len(before := journal.of("push").rows) < wanted:
        assert process.poll() is None
        assert time.monotonic() < deadline, f"{len(before)} rows after 90 s"
        time.sleep(0.01)
    process.kill()
    process.wait()
    (part,) = {row["pid"] for row in before.values()}
    while psutil.pid_exists(part) and psutil.Process(part).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the part lives on"
        time.sleep(0.01)
    kept, finished = journal.of("push").rows, set(journal.of("push").finished)
    assert before.items() <= kept.items()
    assert journal.results()["push"]["status"] == "cut off"
    with journal.file.open("a") as file:
        file.write('{"part": "push", "row": {"gro')  # a line that was cut in the middle
    again = start(tmp_path, 0.0)
    assert again.wait(90) == 0
    rows = journal.of("push").rows
    assert [(name, n) for _, name, n in rows] == [(name, n) for n in SIZES for name in "abc"]
    for (_, name, n), row in kept.items():
        repeated = rows["push", name, n] != row
        assert repeated is (("push", n) not in finished), "a finished size was measured again, or another one was not"
    assert journal.results()["push"]["status"] == "done"
    assert all(json.loads(line) for line in journal.file.read_text().splitlines())
    assert start(tmp_path, 9.0).wait(90) == 0
    assert (tmp_path / "said.txt").read_text().startswith("push               done before")


def test_a_part_is_repeated_when_asked_for(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "results.jsonl")
    journal.begin(is_dry=True)
    journal.append(part="push", row={"group": "push", "name": "old", "n": 7})
    journal.append(part="push", finished=["push", 7])
    journal.append(part="push", result={"status": "done", "seconds": 1.0})
    journal.append(part="push", again=True)
    assert journal.results()["push"] == {"status": "cut off", "seconds": 0.0, "rows": []}
    assert journal.of("push").finished == set()


def test_a_report_is_written_of_what_is_there(tmp_path: Path) -> None:
    import torch

    journal = Journal(tmp_path / "results.jsonl")
    journal.begin(is_dry=False)
    Scene(torch.device("cpu"), journal, "smoke").record("smoke", "racing", verdict="PASS", s=1.0, reason="")
    write(journal.results(), tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert "| smoke | cut off | 0.0 |" in text
    assert "| racing | PASS |" in text


@pytest.mark.slow
def test_a_part_that_takes_too_long_is_stopped_with_its_processes_and_its_rows_stay(tmp_path: Path) -> None:
    code = """
import json, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
line = {"part": "slow", "row": {"group": "a", "name": str(child.pid)}}
open(sys.argv[1], "a").write(json.dumps(line) + chr(10))
time.sleep(60)
"""
    journal = Journal(tmp_path / "results.jsonl")
    journal.begin(is_dry=True)
    part = Part("slow", 3.0, (sys.executable, "-c", code, "JOURNAL"))
    result = runner.carry_out(part, time.monotonic() + 60, journal, tmp_path / "log.txt", runner.environment(None))
    assert result["status"].startswith("stopped after")
    (row,) = journal.results()["slow"]["rows"]
    child = int(row["name"])
    deadline = time.monotonic() + 10
    while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the part's child lives on"
        time.sleep(0.01)


def test_a_part_that_fails_or_has_no_time_left_is_reported(tmp_path: Path) -> None:
    journal, log, variables = Journal(tmp_path / "results.jsonl"), tmp_path / "log.txt", runner.environment(None)
    journal.begin(is_dry=True)
    part = Part("broken", 10.0, (sys.executable, "-c", "print('why'); raise SystemExit(3)"))
    result = runner.carry_out(part, time.monotonic() + 60, journal, log, variables)
    assert result["status"] == "failed with exit code 3"
    assert "why" in result["tail"]
    assert journal.results()["broken"]["status"] == "failed with exit code 3"
    late = runner.carry_out(part, time.monotonic(), journal, log, variables)
    assert (late["status"], late["reason"]) == ("left out", "no time left")


def test_nothing_follows_a_racing_push_that_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Only the memory checker does, on that push."""
    from bench.gpu import __main__ as script

    code = """
import json, sys
row = {"group": "smoke", "name": "racing", "verdict": "FAIL"}
open(sys.argv[1], "a").write(json.dumps({"part": "smoke", "row": row}) + chr(10))
sys.exit(1)
"""
    smoke = Part("smoke", 30.0, (sys.executable, "-c", code, "JOURNAL"))
    other = Part("push", 30.0, (sys.executable, "-c", "raise SystemExit('not to be run')"))
    monkeypatch.setattr(plan, "parts", lambda *_: [smoke, other])
    monkeypatch.setattr(script, "find_gpu", lambda: "none")
    monkeypatch.setattr(script, "started_at", time.monotonic)  # this process is older than a script may be
    assert script.main(["--dry-run", "--out", str(tmp_path)]) == 1
    results = Journal(tmp_path / "results.jsonl").results()
    assert list(results) == ["smoke", "memcheck of the racing push"]
    assert results["memcheck of the racing push"]["reason"] == "a dry run"


def test_a_child_ends_with_its_parent() -> None:
    """Also when the parent is killed and cannot end it."""
    code = """
import subprocess, sys, time
from bench.gpu import tied
sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
child = subprocess.Popen(sleep, preexec_fn=tied.to_parent, stdout=subprocess.DEVNULL)
print(child.pid, flush=True)
time.sleep(600)
"""
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    deadline = time.monotonic() + 10
    try:
        while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline, "the child lives on"
            time.sleep(0.01)
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
