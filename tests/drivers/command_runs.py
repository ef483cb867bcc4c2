"""Runs of the real command in separate processes, as a user starts them, with a time-out."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import warm

from hogwild import train

TIMEOUT_S = 90.0
SAMPLES = 1437  # of the digits training split
BATCHES = 45  # of an epoch
T = TypeVar("T")
ENDLESS = ("--epochs", 1_000_000, "--eval-every", 0, "--ckpt-every", 0)


class Run:
    """One `python -m hogwild.train` in the background, and its run directory."""

    def __init__(self, out: Path, *flags: object, name: str = "run") -> None:
        self.path = out / name
        command = [sys.executable, "-W", "error", "-m", "hogwild.train", "--out", out, "--quiet", "--json"]
        if "--resume" not in flags:
            command += ["--name", name]
        self.process = warm.Popen(
            [str(part) for part in [*command, *flags]],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )

    def end(self) -> tuple[int, dict[str, Any], str]:
        """(exit code, summary, stderr) once it has ended."""
        try:
            out, err = self.process.communicate(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        return self.process.returncode, json.loads(out) if out.strip() else {}, err

    def lines(self, kind: str) -> list[dict[str, Any]]:
        """The metrics lines of a kind so far, without those on the end of a fault."""
        try:
            text = (self.path / "metrics.jsonl").read_text()
        except OSError:
            return []
        lines = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
        return [line for line in lines if line["kind"] == kind and not line.get("ended")]

    def pids(self) -> dict[int, int]:
        """The newest process of each worker."""
        return {
            line["worker"]: line["pid"] for line in self.lines("worker") if line["event"] in ("started", "replaced")
        }

    def pushes(self, *ranks: int) -> int:
        """Updates of these workers so far, of all workers if none is named. The run must have --record."""
        files = [path for path in (self.path / "workers").glob("*.schedule") if not ranks or int(path.stem) in ranks]
        return sum(path.read_text().count('"kind": "gradient"') for path in files)

    def wait_for(self, event: Callable[[], T], what: str) -> T:
        """The first true value of `event()`."""
        deadline = time.monotonic() + TIMEOUT_S
        while not (found := event()):
            assert time.monotonic() < deadline, f"did not happen: {what}"
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.01)
        return found

    def wait_for_workers(self, count: int = 1) -> dict[int, int]:
        self.wait_for(lambda: len(self.pids()) >= count, f"{count} workers start")
        return self.pids()

    def wait_for_pushes(self, more: int, *ranks: int) -> None:
        """Until these workers, or all if none is named, have made that many updates from now on."""
        goal = self.pushes(*ranks) + more
        self.wait_for(lambda: self.pushes(*ranks) >= goal, f"{more} updates by workers {ranks or 'of all'}")

    def stop_in_gradient(self, rank: int) -> None:
        """Stops a worker (SIGSTOP) while it computes a gradient, and so holds no lock; back when the run has named it.

        The fault says in which phase the worker was: if in another one, it goes on, makes an update, and is stopped
        again. The run must have --record and a --stall-timeout, and the worker should be a straggler, so that the first
        time is the right one.
        """
        pid = self.pids()[rank]

        def named() -> list[str]:
            return [line["message"] for line in self.lines("fault") if f"worker {rank} has made" in line["message"]]

        while True:
            before = len(named())
            os.kill(pid, signal.SIGSTOP)
            self.wait_for(lambda seen=before: len(named()) > seen, f"worker {rank} is named")
            if "(last: gradient)" in named()[-1]:
                return
            os.kill(pid, signal.SIGCONT)
            self.wait_for_pushes(1, rank)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill_workers(self, kills: int, rng: random.Random) -> None:
        """Kills that many workers, one after the other, at arbitrary moments."""
        killed: set[int] = set()
        while len(killed) < kills:
            fresh = [pid for pid in self.wait_for_workers().values() if pid not in killed]
            if fresh:
                time.sleep(rng.uniform(0.0, 0.05))
                victim = rng.choice(fresh)
                os.kill(victim, signal.SIGKILL)
                killed.add(victim)
            time.sleep(0.01)

    def wait_for_faults(self, count: int = 1) -> list[dict[str, Any]]:
        """Waits for and returns the first `count` reported faults."""
        self.wait_for(lambda: len(self.lines("fault")) >= count, f"{count} faults are reported")
        return self.lines("fault")[:count]

    def wait_for_death(self) -> dict[str, Any]:
        """Waits for and returns the first reported death."""
        return self.wait_for(self._deaths, "a death is reported")[0]

    def _deaths(self) -> list[dict[str, Any]]:
        return [line for line in self.lines("fault") if line["reason"] == "died"]

    def finish(self, at_least: int = 20) -> tuple[int, dict[str, Any], str]:
        """Interrupts an endless run and resumes it to the end of an epoch: (epochs, summary, stderr until then).

        So the events of a test have all the time they need, and the run ends soon after them.
        """
        self.signal(signal.SIGINT)
        code, interrupted, stderr = self.end()
        assert code == 130, stderr
        epochs = interrupted["samples"] // SAMPLES + at_least
        assert train.main(["--resume", str(self.path), "--epochs", str(epochs), "--quiet"]) == 0
        return epochs, json.loads((self.path / "summary.json").read_text()), stderr


def recorded_tickets(folder: Path) -> Counter[int]:
    """How often the gradient of each ticket is in the schedule of a run that was recorded."""
    lines = map(json.loads, (folder / "schedule.jsonl").read_text().splitlines())
    return Counter(line["ticket"] for line in lines if "ticket" in line)


def is_running(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone(pids: list[int], within_s: float = 30.0) -> bool:
    deadline = time.monotonic() + within_s
    while any(map(is_running, pids)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
