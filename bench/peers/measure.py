"""The measurement. Contestants take turns, so that a drift of the machine affects all equally."""

from __future__ import annotations

import gc
import os
from collections.abc import Sequence
from typing import Any

from bench import machine
from bench.peers.contestant import model
from bench.peers.ours import CONTROL
from bench.peers.pool import WorkerPool
from bench.peers.rivals import CONTROLS as THEIRS
from bench.peers.rivals import DECENT
from hogwild.runs.environment import package_version

CONTROLS = (CONTROL, *THEIRS)
TOLERANCE = 1e-4
TRIAL = 4  # steps in the trial that sets the number of steps per turn


def measure(processes: Sequence[int], hidden: int, rounds: int, turn_s: float) -> dict[str, Any]:
    """The machine, and for each number of processes the seconds per step of every contestant in every round."""
    at_start = machine.describe()
    runs = [_contest(count, hidden, rounds, turn_s) for count in processes]
    parameters = sum(parameter.numel() for parameter in model(hidden).parameters())
    peers = {"torch": at_start["torch"], DECENT: package_version(DECENT)}
    load_at_end = os.getloadavg()[0]
    return {"machine": at_start, "load_at_end": load_at_end, "parameters": parameters, "peers": peers, "runs": runs}


def _contest(processes: int, hidden: int, rounds: int, turn_s: float) -> dict[str, Any]:
    with WorkerPool(processes, hidden) as pool:
        errors = {name: pool.check(name) for name in pool.contestants if name not in CONTROLS}
        wrong = {name: error for name, error in errors.items() if error > TOLERANCE}
        assert not wrong, f"averaging loses a part of the steps: {wrong}"
        calls = {name: max(round(turn_s / pool.seconds_per_step(name, TRIAL)), 1) for name in pool.contestants}
        seconds: dict[str, list[float]] = {name: [] for name in pool.contestants}
        gc.collect()
        gc.disable()
        try:
            for _ in range(rounds):
                for name in pool.contestants:
                    seconds[name].append(pool.seconds_per_step(name, calls[name]))
        finally:
            gc.enable()
    return {"processes": processes, "calls": calls, "errors": errors, "seconds": seconds}
