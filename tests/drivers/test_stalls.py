"""Which workers the parent names and kills: those that give no sign of life, once nobody else can end the run."""

from __future__ import annotations

import math
import threading
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from hogwild.drivers.processes import stalls
from hogwild.drivers.processes.pool import Member
from hogwild.drivers.processes.stalls import LEAVING_S, STARTING_S, WAITING_S, Stall, Stalls
from hogwild.kernels.control import Control, Phase

TIMEOUT_S, KILL_S = 6.0, 30.0


class Process:
    """Stands in for a worker process."""

    def __init__(self, pid: int) -> None:
        self.pid, self.is_killed = pid, False

    def is_alive(self) -> bool:
        return not self.is_killed

    def kill(self) -> None:
        self.is_killed = True


class Watched:
    """Workers of a control block that do what a test says, under a clock that a test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, workers: int, kill_s: float | None = KILL_S) -> None:
        self.now = 0.0
        monkeypatch.setattr(stalls, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(stalls, "_is_stopped", lambda member: member.rank in self.stopped)
        self.stopped: set[int] = set()
        self.told: list[Stall] = []
        self._memory = torch.zeros(Control.bytes(workers, 1) + 128, dtype=torch.uint8)
        self.control = Control(-(-self._memory.data_ptr() // 128) * 128, workers, 1, create=True)
        self.control.assign(0, 1000, [])
        self.processes = [Process(100_000_000 + rank) for rank in range(workers)]  # more than any real process has
        self.members = {
            rank: Member(rank, process, None, beat_at=0.0, is_ready=True)  # type: ignore[arg-type]
            for rank, process in enumerate(self.processes)
        }
        pool: Any = SimpleNamespace(world=SimpleNamespace(control=self.control), members=self.members)
        self.stalls = Stalls(pool, TIMEOUT_S, kill_s)

    def lives(self, rank: int, phase: Phase) -> None:
        self.control.set_phase(rank, phase)

    def at(self, now: float) -> list[str]:
        """The lines about workers that stand still; `told` has all."""
        self.now = now
        found = self.stalls.check()
        self.told += found
        return [stall.line for stall in found if not stall.ended]

    def killed(self) -> list[int]:
        return [rank for rank, process in enumerate(self.processes) if process.is_killed]


@pytest.mark.parametrize(
    ("phase", "patience_s"),
    [(Phase.GRADIENT, 1.0), (Phase.UPDATE, 1.0), (Phase.BARRIER, WAITING_S), (Phase.DONE, math.inf)],
)
def test_a_silent_worker_is_named_once_unless_it_is_done(monkeypatch, phase: Phase, patience_s: float):
    watched = Watched(monkeypatch, 2, None)
    watched.stalls.timeout_s = 1.0
    for began in (0.0, 100.0):
        watched.lives(1, phase)
        times = [0.0, 0.9, 1.1, 4.9, 5.1, 60.0]
        seen = []
        for after in times:
            watched.lives(0, Phase.GRADIENT)
            seen.append(len(watched.at(began + after)))
        first = next((time for time in times if time > patience_s), None)
        assert seen == [int(time == first) for time in times]
    assert watched.killed() == []


def test_the_end_of_a_stall_is_told(monkeypatch):
    watched = Watched(monkeypatch, 2, None)
    for second in range(12):
        watched.lives(1, Phase.GRADIENT)
        watched.at(second)
    watched.lives(0, Phase.UPDATE)
    assert watched.at(12.0) == []
    begun, ended = watched.told
    assert (begun.rank, begun.ended) == (0, False)
    assert ended == (0, "worker 0 goes on after 12 s", True)


def test_while_others_make_progress_a_stalled_worker_is_only_named(monkeypatch):
    watched = Watched(monkeypatch, 3)
    watched.lives(0, Phase.GRADIENT)
    watched.control.take(0)
    lines = []
    for second in range(200):
        watched.lives(1, Phase.PAUSED)  # as seen: it waits whenever the parent looks
        watched.lives(2, Phase.PAUSED)
        watched.control.take(1)
        watched.control.complete(1)
        lines += watched.at(second)
    [line] = lines
    assert line.startswith("worker 0 has made no progress for 7 s (last: gradient); to look inside: py-spy dump --pid")
    assert watched.killed() == []


def test_a_slow_worker_is_waited_for_before_a_stalled_one_is_killed(monkeypatch):
    watched = Watched(monkeypatch, 2)
    for second in range(200):
        if second % 5 == 0:
            watched.lives(1, Phase.GRADIENT)
        watched.at(second)
    assert watched.members[0].is_named
    assert watched.killed() == []


@pytest.mark.parametrize(("is_ready", "patience_s"), [(True, KILL_S), (False, STARTING_S)])
def test_a_stalled_worker_that_all_others_wait_for_is_killed(monkeypatch, is_ready: bool, patience_s: float):
    watched = Watched(monkeypatch, 3)
    watched.members[0].is_ready = is_ready
    watched.lives(0, Phase.GRADIENT)
    watched.control.take(0)
    killed = []
    for second in range(400):
        for rank in (1, 2):
            watched.lives(rank, Phase.PAUSED)
        watched.at(second)
        killed.append(watched.killed())
    named = TIMEOUT_S + 1
    assert killed.index([0]) == pytest.approx(named + patience_s, abs=1)
    assert killed[-1] == [0]
    assert "all others had waited for it for" in (watched.members[0].killed_for or "")


def test_loops_of_ones_own_are_never_killed_for_being_slow(monkeypatch):
    watched = Watched(monkeypatch, 1, None)
    for second in range(0, 4000, 100):
        watched.at(second)
    assert watched.members[0].is_named
    assert watched.killed() == []


def test_a_run_that_stops_waits_neither_for_stalled_workers_nor_for_stopped_ones(monkeypatch):
    watched = Watched(monkeypatch, 3)
    watched.at(0.0)
    for rank in (1, 2):
        watched.lives(rank, Phase.GRADIENT)
    watched.at(TIMEOUT_S + 1)
    watched.control.stop()
    watched.stopped = {2}
    watched.at(TIMEOUT_S + 2)
    assert watched.killed() == [0, 2]


def test_a_worker_that_has_finished_is_killed_if_its_process_stays(monkeypatch):
    watched = Watched(monkeypatch, 2)
    for member in watched.members.values():
        member.is_done, member.done_at = True, 10.0
    watched.processes[1].is_killed = True  # it has ended by itself
    assert watched.at(10.0 + LEAVING_S) == []
    [line] = watched.at(10.1 + LEAVING_S)
    assert "worker 0 (pid 100000000) had finished, but its process did not end within 5 s" in line
    assert watched.killed() == [0, 1]
    assert watched.at(100.0) == []


def test_who_waits_for_a_lock_of_a_stalled_worker_is_not_named(monkeypatch):
    watched = Watched(monkeypatch, 3)
    watched.processes[1].pid = threading.get_native_id()  # this thread takes the lock for it
    watched.control.lock_model(1)
    for rank in range(3):
        watched.lives(rank, Phase.UPDATE)
    lines, second = [], 0
    while not watched.killed() and second < 60:
        lines += watched.at(second)
        second += 1
    watched.control.unlock_model()  # as the kernel does for a dead process
    [line] = lines
    assert "worker 1 has made no progress for 7 s (last: update, it holds the lock of the model)" in line
    assert watched.killed() == [1], "the others are only blocked"


def test_who_computes_is_named_whatever_lock_another_one_holds(monkeypatch):
    watched = Watched(monkeypatch, 2)
    watched.processes[1].pid = threading.get_native_id()
    watched.control.lock_model(1)
    watched.lives(0, Phase.GRADIENT)
    watched.lives(1, Phase.UPDATE)
    lines = [line for second in range(20) for line in watched.at(second)]
    watched.control.unlock_model()
    assert ["worker 0" in lines[0], "worker 1" in lines[1], len(lines)] == [True, True, 2]


def test_of_two_holders_the_one_that_is_stopped_is_named(monkeypatch):
    """A worker may hold one stripe and wait for another."""
    watched = Watched(monkeypatch, 2)
    monkeypatch.setattr(stalls, "_has_thread", lambda member, thread: True)
    watched.control.lock_model(1)
    watched.stopped = {1}
    for rank in range(2):
        watched.lives(rank, Phase.UPDATE)
    lines = [line for second in range(20) for line in watched.at(second)]
    watched.control.unlock_model()
    [line] = lines
    assert "worker 1" in line
