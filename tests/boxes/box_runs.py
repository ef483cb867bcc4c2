"""Runs of several boxes on loopback: the processes that torchrun would start, with its environment and store."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import psutil
import torch.distributed as dist
import warm

WAIT_S = 60.0
OPTIONS = {
    "between": "ad-psgd", "between_period": 10, "between_timeout": 4, "workers": 1, "batch_size": 32, "seed": 0,
    "name": "run", "device": "cpu",
}  # fmt: skip


def until(condition: Callable[[], object], what: str, patience_s: float = WAIT_S) -> None:
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


class Boxes:
    """The boxes of one run in `folder`. A context manager: no process of them is left behind it."""

    wait_s = WAIT_S

    def __init__(self, folder: Path, boxes: int = 2, **options: object) -> None:
        self.folder, self.boxes, self.options = folder, boxes, {**OPTIONS, **options}
        self.processes: list[warm.Popen | None] = [None] * boxes
        self.port = self.serve()

    def serve(self) -> int:
        """Serves the store; returns its port."""
        self._store = dist.TCPStore("127.0.0.1", 0, None, True, timedelta(seconds=30), False)
        return int(self._store.port)

    def __enter__(self) -> Boxes:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            if process is not None and process.poll() is None:
                for child in [*psutil.Process(process.pid).children(recursive=True), process]:
                    child.kill()
                process.wait()

    def start(self, box: int, **options: object) -> warm.Popen:
        flags = []
        for name, value in {**self.options, "out": str(self.folder), **options}.items():
            flags += [f"--{name.replace('_', '-')}", str(value)]
        command, environment = self.command(box)
        environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", **environment}
        with (self.folder / f"out{box}.txt").open("a") as out:
            self.processes[box] = warm.Popen(
                [sys.executable, *command, "-m", "hogwild.train", *flags], env=environment, cwd=self.folder, stdout=out,
                stderr=out, text=True,
            )  # fmt: skip
        return self.processes[box]

    def command(self, box: int) -> tuple[list[str], dict[str, str]]:
        """What comes before the command of a box, and its environment."""
        environment = {
            "RANK": str(box), "WORLD_SIZE": str(self.boxes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(self.port),
        }  # fmt: skip
        return ["-W", "error"], environment

    def start_all(self, **options: object) -> None:
        for box in range(self.boxes):
            self.start(box, **options)

    def ended(self, *boxes: int) -> list[int]:
        """The exit codes of these boxes; their processes have gone."""
        codes = []
        for box in boxes:
            codes.append(self.processes[box].wait(self.wait_s))
        return codes

    def output(self, box: int) -> str:
        return (self.folder / f"out{box}.txt").read_text()

    def path(self, box: int) -> Path:
        """Of its last incarnation."""
        found = sorted((self.folder / "run").glob(f"box{box}*"))
        return found[-1] if found else self.folder / "run" / f"box{box}"

    def events(self, box: int, kind: str) -> list[dict]:
        path = self.path(box) / "metrics.jsonl"
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        found = [json.loads(line) for line in lines if line.endswith("\n")]
        return [event for event in found if event["kind"] == kind and not event.get("ended")]

    def faults(self, box: int) -> list[str]:
        return [event["reason"] for event in self.events(box, "fault")]

    def summary(self, box: int | None = None) -> dict:
        folder = self.folder / "run" if box is None else self.path(box)
        return json.loads((folder / "summary.json").read_text())

    def exchanges(self, box: int) -> int:
        """So far."""
        lines = self.events(box, "between")
        return lines[-1]["exchanges"] if lines else 0

    def exchanges_again(self, box: int) -> bool:
        """Whether it has made exchanges since its last fault; those before it do not count."""
        faults = self.events(box, "fault")
        since = faults[-1]["time"] if faults else 0.0
        lines = [line["exchanges"] for line in self.events(box, "between") if line["time"] > since]
        return len(lines) > 1 and lines[-1] > lines[0]

    def pids(self, box: int) -> list[int]:
        return [child.pid for child in psutil.Process(self.processes[box].pid).children(recursive=True)]

    def courier(self, box: int) -> psutil.Process:
        """The process of the box that has connections to others, and listens for them."""
        found: list[psutil.Process] = []

        def look() -> bool:
            for child in psutil.Process(self.processes[box].pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    if "LISTEN" in {c.status for c in child.net_connections("tcp")}:
                        found.append(child)
            return bool(found)

        until(look, f"box {box} has a courier with a link")
        return found[0]


def kill_all(pids: list[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def left_over(pids: list[int]) -> Iterator[int]:
    """Those of these processes that run."""
    for pid in pids:
        try:
            is_there = psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            continue
        if is_there:
            yield pid
