"""Training runs of hogwild in one box and in two boxes under torchrun on loopback, and of DistributedDataParallel."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from subprocess import PIPE
from typing import Any

from hogwild.system import THREAD_VARIABLES

LIMIT_S = 900.0  # of a run
ROOT = Path(__file__).parents[2]
SLOW = "0:10"  # a worker ten times slower


def one_box(folder: Path, flags: Sequence[str]) -> dict[str, Any]:
    """One box of two workers."""
    _run([_hogwild(folder, [*flags, "--workers", "2", "--name", "one"])])
    return _found(folder / "one")


def two_boxes(folder: Path, flags: Sequence[str], *, is_slow: bool = False) -> dict[str, Any]:
    """Two boxes of one worker, each under an agent of torchrun of its own. `is_slow`: the second one is."""
    port, common = _free_port(), [*flags, "--workers", "1", "--between", "ad-psgd", "--name", "two"]
    slow = ["--straggler", SLOW] if is_slow else []
    _run([[*_agent(box, 2, port), *_hogwild(folder, [*common, *slow * box])] for box in range(2)])
    return _found(folder / "two" / "box0", folder / "two" / "box1")


def ddp(flags: Sequence[str]) -> dict[str, Any]:
    """The same net in DistributedDataParallel (bench/boxes/ddp.py), whose second process is ten times slower."""
    port = _free_port()
    outputs = _run([[*_agent(rank, 2, port), "-m", "bench.boxes.ddp", *flags] for rank in range(2)])
    found: dict[str, Any] = json.loads(outputs[0].splitlines()[-1])
    return found


def _hogwild(folder: Path, flags: Sequence[str]) -> list[str]:
    return ["-m", "hogwild.train", "--out", str(folder), "--device", "cpu", "--quiet", *flags]


def _agent(node: int, nodes: int, port: int) -> list[str]:
    where = ["--node-rank", str(node), "--master-addr", "127.0.0.1", "--master-port", str(port)]
    return ["-m", "torch.distributed.run", "--nnodes", str(nodes), "--nproc-per-node", "1", *where]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _run(commands: Sequence[Sequence[str]]) -> list[str]:
    """Runs commands of this Python together; returns what they have written. RuntimeError if one of them fails."""
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "PYTHONPATH": str(ROOT)}
    environment |= dict.fromkeys(THREAD_VARIABLES, "1")
    with contextlib.ExitStack() as stack:
        running = [
            stack.enter_context(
                subprocess.Popen([sys.executable, *command], env=environment, stdout=PIPE, stderr=PIPE, text=True)
            )
            for command in commands
        ]
        stack.callback(lambda: [process.terminate() for process in running if process.poll() is None])
        ended = [process.communicate(timeout=LIMIT_S) for process in running]
    for process, command, (_, errors) in zip(running, commands, ended, strict=True):
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {errors[-2000:]}")
    return [out for out, _ in ended]


def _found(*boxes: Path) -> dict[str, Any]:
    """What a run has come to, by its files: accuracy at the end, samples a second, updates a second of each box, and
    the course of box 0 as (seconds since the workers started, accuracy).
    """
    summary = json.loads((boxes[0] / "summary.json").read_text())
    events = [_events(box) for box in boxes]
    began = next(event["time"] for event in events[0] if event["kind"] == "worker")
    return {
        "accuracy": summary["test_accuracy"],
        "samples_per_s": summary["samples_per_s"],
        "rates": [_rate(those) for those in events],
        "course": [(e["time"] - began, e["test_accuracy"]) for e in events[0] if e["kind"] == "eval"],
        "exchanges": summary.get("exchanges", 0),
    }


def _events(box: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (box / "metrics.jsonl").read_text().splitlines()]


def _rate(events: Sequence[dict[str, Any]]) -> float | None:
    """Updates a second: the median over the lines of the run in which there were some. None if it was too short."""
    lines = [event for event in events if event["kind"] == "train"]
    steps = [(b["updates"] - a["updates"], b["time"] - a["time"]) for a, b in pairwise(lines)]
    rates = [updates / seconds for updates, seconds in steps if updates > 0]
    return median(rates) if rates else None


def time_to(course: Sequence[tuple[float, float]], accuracy: float) -> float | None:
    """Seconds until that accuracy was first seen; None if it never was."""
    return next((seconds for seconds, value in course if value >= accuracy), None)
