"""Workers killed at an exact place of an exact phase, with the locks that they hold there; and their parents, likewise.

The run goes on without the worker and computes its batch again: no sample is lost, nothing hangs. When a parent is
killed, every worker is gone within two seconds.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from command_runs import gone, is_running
from parked_runs import BATCHES, EPOCHS, SAMPLES, WAIT_S, Case, attack, be_a_parent, kill, run, tickets
from replica_processes import context

GONE_S = 2.0
EXACT = (("access", "locked"),)
STRIPED = (("access", "striped"),)
PERIOD = (("period", 1),)

SHORT = [
    Case("asgd", "data", "DATA"),
    Case("asgd", "ticket lock", "UPDATE", locks=1),
    Case("asgd", "push", "UPDATE", locks=1, values=STRIPED),
    Case("ssgd", "first barrier", "BARRIER"),
    Case("ad-psgd", "pair average", "UPDATE", locks=2),
    Case("d2", "gate", "PAUSED"),
    Case("softsync", "gather", "UPDATE", locks=1, values=EXACT),
]
LONG = [
    Case("asgd", "start", "STARTING"),
    Case("asgd", "booking", "UPDATE"),
    Case("gap-aware", "push", "UPDATE", locks=1, values=EXACT),
    Case("sgp", "mailbox", "UPDATE", locks=1),
    Case("asgd", "gradient", "GRADIENT"),
    Case("asgd", "push", "UPDATE"),
    Case("asgd", "push", "UPDATE", values=(("access", "atomic"),)),
    Case("asgd", "push", "UPDATE", locks=1, values=EXACT),
    Case("asgd", "gate", "PAUSED"),
    Case("gap-aware", "gradient", "GRADIENT"),
    Case("gap-aware", "push", "UPDATE"),
    Case("gap-aware", "push", "UPDATE", locks=1, values=STRIPED),
    Case("gap-aware", "booking", "UPDATE", values=EXACT),
    Case("gap-aware", "ticket lock", "UPDATE", locks=1),
    Case("gap-aware", "gate", "PAUSED", values=EXACT),
    Case("ssgd", "start", "STARTING"),
    Case("ssgd", "data", "DATA"),
    Case("ssgd", "gradient", "GRADIENT"),
    Case("ssgd", "push", "UPDATE"),
    Case("ssgd", "second barrier", "BARRIER"),
    Case("ssgd", "booking", "UPDATE"),
    Case("ssgd", "ticket lock", "UPDATE", locks=1),
    Case("ssgd", "gate", "PAUSED"),
    Case("easgd", "gradient", "GRADIENT", values=PERIOD),
    Case("easgd", "exchange", "UPDATE", values=PERIOD),
    Case("easgd", "exchange", "UPDATE", locks=1, values=PERIOD + STRIPED),
    Case("easgd", "exchange", "UPDATE", locks=1, values=PERIOD + EXACT),
    Case("easgd", "gate", "PAUSED", values=PERIOD),
    Case("ad-psgd", "gradient", "GRADIENT"),
    Case("ad-psgd", "push", "UPDATE", locks=1),
    Case("ad-psgd", "pair average", "UPDATE", locks=2, values=(("pairing", "blocking"),)),
    Case("ad-psgd", "booking", "UPDATE"),
    Case("ad-psgd", "gate", "PAUSED"),
    Case("d2", "gradient", "GRADIENT"),
    Case("d2", "push", "UPDATE"),
    Case("d2", "mix", "UPDATE"),
    Case("d2", "first barrier", "BARRIER"),
    Case("d2", "second barrier", "BARRIER"),
    Case("softsync", "gradient", "GRADIENT", values=EXACT),
    Case("softsync", "gathered update", "UPDATE", locks=1, values=EXACT),
    Case("softsync", "ticket lock", "UPDATE", locks=1, values=EXACT),
    Case("softsync", "gate", "PAUSED", values=EXACT),
    Case("sgp", "gradient", "GRADIENT"),
    Case("sgp", "push", "UPDATE"),
    Case("sgp", "gate", "PAUSED"),
]
PARENTS = [Case("asgd", "push", "UPDATE", locks=1, values=EXACT)]
OTHER_PARENTS = [case for case in SHORT + LONG if case not in PARENTS]


def named(short: list[Case], long: list[Case]) -> list[object]:
    return [pytest.param(case, id=str(case)) for case in short] + [
        pytest.param(case, id=str(case), marks=pytest.mark.slow) for case in long
    ]


def is_where_it_should_be(case: Case, phase: str, locks: tuple[str, ...]) -> bool:
    return phase == case.phase and len(locks) == case.locks


@pytest.mark.parametrize("respawn", [0, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("case", named(SHORT, LONG))
def test_a_worker_killed_at_an_exact_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: Case, respawn: int):
    found = attack(monkeypatch, kill, at_the_gate=case.place == "gate")
    result = run(case, tmp_path, respawn=respawn)
    assert found.seen is not None, "no worker came there"
    assert found.trainer is not None
    assert is_where_it_should_be(case, found.seen.phase, found.seen.locks), found.seen
    assert result.summary["samples"] == EPOCHS * SAMPLES
    assert result.summary["exit_reason"] == "done"
    assert gone(list(found.seen.workers))

    seen = tickets(result)
    assert set(seen) <= set(range(BATCHES))
    # Its push was recorded, and not yet booked; or its gradient was booked under the lock, and not yet recorded.
    expected = BATCHES + {"booking": 1, "gathered update": -1}.get(case.place, 0)
    assert seen.total() == expected
    assert len(seen) == min(expected, BATCHES)
    control = found.trainer.world.control
    recovered = sum(control.stats(rank)["recovered"] for rank in range(3))
    if (left := control.lock_holders()) and case.algorithm == "ad-psgd" and case.place == "push" and not respawn:
        assert (len(left), left[0][1], recovered) == (1, found.seen.pid, 0)  # no worker need come to its replica again
        return
    assert left == []
    if case.locks and case.place != "ticket lock":  # that one is repaired, and not counted
        assert recovered >= 1
    else:
        assert recovered == 0


@pytest.mark.parametrize("case", named(PARENTS, OTHER_PARENTS))
def test_after_a_parent_that_is_killed_at_an_exact_place_no_process_is_left(tmp_path: Path, case: Case):
    ours, theirs = context.Pipe()
    parent = context.Process(target=be_a_parent, args=(case, tmp_path, theirs))
    parent.start()
    family: list[int] = []
    try:
        assert ours.poll(WAIT_S), "no worker came there"
        told = ours.recv()
        assert told is not None, "no worker came there"
        stopped, family = told
        assert is_where_it_should_be(case, stopped.phase, stopped.locks), stopped
        assert set(stopped.workers) <= set(family)
        assert parent.pid is not None
        began = time.monotonic()
        os.kill(parent.pid, signal.SIGKILL)
        assert gone(list(stopped.workers), GONE_S)
        print(f"\n{case}: {len(stopped.workers)} workers gone within {time.monotonic() - began:.3f} s")
        assert gone(family)
    finally:
        parent.kill()
        parent.join(WAIT_S)
        for pid in filter(is_running, family):
            os.kill(pid, signal.SIGKILL)
