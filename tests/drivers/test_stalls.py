"""Which workers the parent names: those that give no sign of life for too long, once each."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
from replica_processes import Flat

from hogwild.algorithms import REGISTRY
from hogwild.drivers.processes import pool
from hogwild.drivers.processes.pool import WAITING_S, Member, WorkerPool
from hogwild.kernels.control import Phase
from hogwild.shared.world import World


@pytest.mark.parametrize(
    ("phase", "patience_s"),
    [
        (Phase.GRADIENT, 1.0),
        (Phase.UPDATE, 1.0),
        (Phase.BARRIER, WAITING_S),
        (Phase.PAUSED, WAITING_S),
        (Phase.DONE, math.inf),
    ],
)
def test_a_silent_worker_is_named_once_unless_it_is_done(monkeypatch, phase: Phase, patience_s: float):
    clock = SimpleNamespace(now=0.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(pool, "time", clock)
    world = World.create(Flat(37), REGISTRY["asgd"].buffers, 2)
    process: Any = SimpleNamespace(is_alive=lambda: True, pid=4711)
    members = {1: Member(1, process, None)}  # type: ignore[arg-type]
    watched: Any = SimpleNamespace(world=world, members=members)

    def named(now: float) -> int:
        clock.now = now
        return len(WorkerPool.stalled(watched, 1.0))

    for began in (0.0, 100.0):
        world.control.set_phase(1, phase)  # a sign of life
        times = [0.0, 0.9, 1.1, 4.9, 5.1, 60.0]
        seen = [named(began + after) for after in times]
        first = next((time for time in times if time > patience_s), None)
        assert seen == [int(time == first) for time in times]
