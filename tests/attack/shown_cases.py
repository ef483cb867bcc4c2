"""A run directory with damage, shown in all ways: pages, traces, tables, the screen of a terminal."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mutation import altered, damaged, write

from hogwild.errors import DataError
from hogwild.report import comparison as comparison_page
from hogwild.report import runs as pages
from hogwild.report import trace as events
from hogwild.report.record import Record, showing
from hogwild.report.screen import screen
from hogwild.runs import timeline
from hogwild.text import printable


def lines(rows: list[Any]) -> bytes:
    """As JSON lines."""
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def shown(r: random.Random) -> None:
    """A run, one file of which is damaged, as pages, traces, tables and the screen of a terminal."""
    shutil.rmtree("shown", ignore_errors=True)
    changes = b"".join(struct.pack("<Q", k * 10**9 << 12 | (k % 3 + 1) << 8 | 2) for k in range(9))
    write("shown/config.yaml", b"algorithm: asgd\nworkers: 2\n")
    write("shown/env.json", b'{"hogwild": "0.1.0"}')
    write("shown/summary.json", json.dumps(SUMMARY).encode())
    write("shown/metrics.jsonl", lines(EVENTS))
    write("shown/pushes.csv", b"push,worker,gap_rms\n0,1,.5\n1,0,.7\n")
    timeline.TimelineFile(Path("shown/timeline.bin")).append([(0, changes, 0), (1, changes[24:], 2)])
    victim = Path("shown", r.choice(["metrics.jsonl"] * 4 + ["summary.json"] * 2 + ["pushes.csv", "timeline.bin"]))
    if victim.name == "metrics.jsonl":
        rows = [altered(r, row) if r.random() < 0.3 else row for row in EVENTS]
        victim.write_bytes(lines(rows))
    elif victim.name == "summary.json":
        victim.write_text(json.dumps(altered(r, SUMMARY)))
    else:
        victim.write_bytes(damaged(r, victim.read_bytes()))
    if r.random() < 0.3:
        Path("shown/summary.json").unlink()
    for make in SHOWN:
        with contextlib.suppress(DataError), showing("shown"):
            run = Record.open("shown")
            text = "".join(make(run))
            assert printable(text) == text


def train(updates: int) -> dict[str, Any]:
    interval = {"delay": {"0": 3, "2": 4}, "phase_s": {"0": {"gradient": 1.0}}, "row_delay": {"mean": 0.5}}
    facts = {"kind": "train", "time": updates / 10, "samples": 8 * updates, "updates": updates, "train_loss": 0.5}
    return {**facts, "samples_per_s": 80.0, "delay": {"mean": 1.5}, "gap_rms": 0.01, "lr": 0.1, "interval": interval}


EVENTS = [
    {"kind": "run", "time": 0, "event": "started", "schema": 2, "clock": "wall"}, *map(train, (1, 2, 3, 2, 3)),
    {"kind": "gate", "time": 1.0, "closed": 0.5, "opened": 0.7, "why": "evaluation"},
    {"kind": "edge", "time": 1.0, "updates": 5, "ratio": 1.5, "s": 0.1},
    {"kind": "fault", "time": 1.0, "worker": 1, "reason": "killed", "message": "gone"},
    *({"kind": "eval", "time": 1.0, "samples": k, "updates": k, "test_accuracy": 0.5, "s": 0.1} for k in (8, 16)),
    *({"kind": "worker", "time": 9.0, "event": "ended", "worker": k, "pushes": 9, "samples": 72, "delay_mean": 1.5,
       "delay_max": 3, "refused": 0, "gradient_s": 5.0, "update_s": 1.0} for k in (0, 1)),
]  # fmt: skip
SUMMARY = {
    "exit_reason": "done", "workers": 2, "updates": 29, "samples": 232, "delay": {"mean": 1.5}, "wall_s": 20.0,
    "delay_histogram": {"0": 4, "7": 2}, "gap_histogram": {"-3": 4}, "test_accuracy": 0.95, "refused": 0, "eval_s": 9.0,
}  # fmt: skip
SHOWN: list[Callable[[Record], Any]] = [
    lambda run: pages.write([run]), lambda run: comparison_page.write([run] * 7), events.trace, events.table,
    lambda run: screen(run, 80),
]  # fmt: skip
