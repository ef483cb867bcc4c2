"""Run directories as the tests of hogwild.report need them, written by hand."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hogwild.config import Config

DELAYS = {"0": 4, "1": 11, "2": 5, "7": 2}


def train(updates: int, loss: float | None, **more: Any) -> dict[str, Any]:
    line = {"kind": "train", "time": updates / 10, "samples": 8 * updates, "updates": updates, "train_loss": loss}
    return {**line, "samples_per_s": 80.0, "delay": {"mean": 1.5}, "gap_rms": 0.01 * updates, "lr": 0.1, **more}


def evaluation(updates: int, accuracy: float | None) -> dict[str, Any]:
    line = {"kind": "eval", "time": updates / 10, "samples": 8 * updates, "updates": updates}
    return {**line, "test_accuracy": accuracy, "test_loss": None if accuracy is None else 1 - accuracy}


def ended(worker: int, pushes: int, **seconds: float) -> dict[str, Any]:
    line = {"kind": "worker", "time": 9.0, "event": "ended", "worker": worker, "pushes": pushes, "samples": 8 * pushes}
    return {**line, "delay_mean": 1.5, "delay_max": 7, "refused": 0, **{f"{name}_s": s for name, s in seconds.items()}}


WORKERS = [ended(0, 11, gradient=6.0, update=3.0, waiting=1.0), ended(1, 11, gradient=7.0, update=2.0, waiting=1.0)]
CURVE = [*(train(k, 2.0 / k) for k in range(1, 30)), *(evaluation(k, 0.5 + k / 60) for k in range(3, 30, 3)), *WORKERS]


def make(
    path: Path,
    events: Iterable[Mapping[str, Any]] = CURVE,
    summary: Mapping[str, Any] | None = None,
    *,
    lines: str | None = None,
    **options: Any,
) -> Path:
    """A run directory with these events; `lines`: what metrics.jsonl holds instead."""
    path.mkdir(parents=True)
    (path / "config.yaml").write_text(Config(**{"workers": 2, **options}).yaml())
    (path / "env.json").write_text(json.dumps({"hogwild": "0.1.0"}))
    (path / "metrics.jsonl").write_text(lines or "".join(json.dumps(event) + "\n" for event in events))
    facts = {"exit_reason": "done", "workers": options.get("workers", 2), "updates": 29, "samples": 232}
    facts |= {"delay": {"mean": 1.5}, "delay_histogram": DELAYS, "test_accuracy": 0.95, "refused": 0, "dropped": 0}
    (path / "summary.json").write_text(json.dumps({**facts, **(summary or {})}))
    return path
