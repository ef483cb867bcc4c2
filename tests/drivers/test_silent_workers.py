"""A worker whose gradients are all dropped is named, once."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_simulator import simulate

from hogwild.runs.console import Console


@pytest.mark.parametrize(("algorithm", "limit"), [("ringmaster", 5), ("k-batch-sync", 0)])
def test_a_worker_that_is_always_too_late_is_named(
    tmp_path: Path, algorithm: str, limit: int, monkeypatch: pytest.MonkeyPatch
):
    lines: list[str] = []
    monkeypatch.setattr(Console, "warn", lambda _self, line: lines.append(line))
    values = {"straggler": "3:20", "updates": 80 if limit else 70, "clock": "round-robin", "eval_every": 0}
    values |= {"delay_limit": limit} if limit else {}
    simulate(tmp_path, algorithm=algorithm, **values)
    named = [line for line in lines if "had no update" in line]
    assert len(named) == 1
    assert named[0].startswith("worker 3 had no update in the last")


def test_a_worker_that_counts_now_and_then_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    lines: list[str] = []
    monkeypatch.setattr(Console, "warn", lambda _self, line: lines.append(line))
    simulate(tmp_path, algorithm="ringmaster", delay_limit=9, updates=80, clock="gamma:cv=0.5", eval_every=0)
    assert not [line for line in lines if "had no update" in line]


def test_a_cap_that_binds_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    lines: list[str] = []
    monkeypatch.setattr(Console, "warn", lambda _self, line: lines.append(line))
    values = {"straggler": "3:20", "updates": 80, "clock": "round-robin", "eval_every": 0}
    simulate(tmp_path, algorithm="rescaled", cap=3.0, lr=0.01, **values)
    told = [line for line in lines if "cap" in line]
    assert told == ["the cap of 3 binds for worker 3: its data weigh less (cap, lr)"]
