"""Runs of the real command in separate processes, as a user starts them, with a time-out."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from hogwild import train

TIMEOUT_S = 90.0
SAMPLES = 1437  # of the digits training split
BATCHES = 45  # of an epoch
ENDLESS = ("--epochs", 1_000_000, "--eval-every", 0, "--ckpt-every", 0)


class Run:
    """One `python -m hogwild.train` in the background, and its run directory."""

    def __init__(self, out: Path, *flags: object, name: str = "run") -> None:
        self.path = out / name
        command = [sys.executable, "-W", "error", "-m", "hogwild.train", "--out", out, "--quiet", "--json"]
        if "--resume" not in flags:
            command += ["--name", name]
        self.process = subprocess.Popen(
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
        """The metrics lines of a kind so far."""
        try:
            text = (self.path / "metrics.jsonl").read_text()
        except OSError:
            return []
        lines = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
        return [line for line in lines if line["kind"] == kind]

    def pids(self) -> dict[int, int]:
        """The newest process of each worker."""
        return {line["worker"]: line["pid"] for line in self.lines("worker") if line["event"] == "started"}

    def wait_for_workers(self, count: int = 1) -> dict[int, int]:
        deadline = time.monotonic() + TIMEOUT_S
        while len(self.pids()) < count:
            assert time.monotonic() < deadline, "the workers do not start"
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.01)
        return self.pids()

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
        deadline = time.monotonic() + TIMEOUT_S
        while len(faults := self.lines("fault")) < count:
            assert time.monotonic() < deadline, f"{len(faults)} of {count} faults are reported"
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.01)
        return faults[:count]

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


def is_running(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone(pids: list[int], within_s: float = 10.0) -> bool:
    deadline = time.monotonic() + within_s
    while any(map(is_running, pids)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
