"""Workers that stand still: they are named, and killed once nothing else could bring the run to its end."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import NamedTuple

import psutil

from hogwild.drivers.processes.pool import Member, WorkerPool
from hogwild.kernels.control import Phase
from hogwild.shared.control import Ledger, Tickets, Versions

WAITING = (Phase.BARRIER, Phase.PAUSED)
WAITING_S = 5.0  # in which a waiting worker gives a sign of life (worker.POLL_S) even on a busy machine
LEAVING_S = 5.0  # in which the process of a worker that has finished must end
STARTING_S = 300.0  # in which a worker that replaces another must be ready
STOPPED = (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)


class Stall(NamedTuple):
    """A line about worker `rank`, which stands still, or goes on (`ended`)."""

    rank: int
    line: str
    ended: bool = False


class Stalls:
    """Watches the workers of `pool` for signs of life.

    `timeout_s`: how long a worker may make no progress before it is named. `kill_s`: how long all others may wait for
    named workers before these are killed; None: never. Their tickets are then assigned again, as after any death.
    """

    def __init__(self, pool: WorkerPool, timeout_s: float, kill_s: float | None) -> None:
        self.pool = pool
        self.timeout_s, self.kill_s = timeout_s, kill_s
        self.ledger: Ledger = pool.world.control
        self.tickets: Tickets = pool.world.control
        self.versions: Versions = pool.world.control
        self._mark: object = None
        self._still_since = time.monotonic()

    def check(self) -> list[Stall]:
        """Kills where that is due. Returns a line about each worker that has stalled, once per stall, about each that
        goes on, and about each that had finished and was killed; the other deaths will be told of by the pool.
        """
        now = time.monotonic()
        working = [m for m in self.pool.members.values() if not m.is_done and m.process.is_alive()]
        lines = self._name(working, now)
        self._kill_stalled(working, now)
        return lines + self._kill_lingering(now)

    def _name(self, working: list[Member], now: float) -> list[Stall]:
        late, lines = [], []
        for member in working:
            stats = self.ledger.stats(member.rank)
            member.phase = stats["phase"]
            if stats["beats"] != member.beats or member.phase == Phase.DONE:
                if member.is_named:
                    still_s = now - member.beat_at
                    lines.append(Stall(member.rank, f"worker {member.rank} goes on after {still_s:.0f} s", ended=True))
                member.beats, member.beat_at, member.is_named, member.is_blocked = stats["beats"], now, False, False
            elif now - member.beat_at > self._patience_s(member) and not member.is_named:
                late.append(member)
        if not late:
            return lines
        holding = self._holding(working, now)
        for member in late:
            member.is_blocked = (
                bool(holding) and member.rank not in holding and member.phase in (*WAITING, Phase.UPDATE, Phase.LOCK)
            )
            if not member.is_blocked:
                member.is_named = True
                lines.append(Stall(member.rank, self._line(member, now, holding.get(member.rank))))
        return lines

    def _patience_s(self, member: Member) -> float:
        """A worker that waits for others and gives signs of life has not stalled."""
        return max(self.timeout_s, WAITING_S) if member.phase in WAITING else self.timeout_s

    def _line(self, member: Member, now: float, lock: str | None) -> str:
        return (
            f"worker {member.rank} has made no progress for {now - member.beat_at:.0f} s (last: "
            f"{member.phase.name.lower()}{f', it holds {lock}' if lock else ''}); to look inside: "
            f"py-spy dump --pid {member.process.pid}"
        )

    def _holding(self, working: list[Member], now: float) -> dict[int, str]:
        """By rank, the lock that a worker which stands still holds: the others may only wait for it."""
        holders = self.ledger.lock_holders()
        # It may have set its phase a little later than those that wait for it.
        still = [m for m in working if now - m.beat_at > self._patience_s(m) / 2]
        found = {m.rank: name for m in still for name, thread in holders if _has_thread(m, thread)}
        # A pair average holds one lock while it waits for another: a process that is stopped does not wait.
        stopped = {m.rank: found[m.rank] for m in still if m.rank in found and _is_stopped(m)}
        return stopped or found

    def _kill_stalled(self, working: list[Member], now: float) -> None:
        """Kills the named workers if the run is to stop, or if the others have only waited for them for `kill_s`."""
        if self.tickets.stopping:
            for member in working:
                if member.is_named or _is_stopped(member):
                    member.kill("the run stops, and it made no progress")
            return
        named = [member for member in working if member.is_named]
        mark = (self.versions.version, self.tickets.next, self.tickets.outstanding())
        others_wait = all(m.is_named or m.is_blocked or m.phase in WAITING for m in working)
        if mark != self._mark or not named or not others_wait:
            self._mark, self._still_since = mark, now
        elif self.kill_s is not None:
            still_s = now - self._still_since
            for member in named:
                if still_s > (self.kill_s if member.is_ready else max(self.kill_s, STARTING_S)):
                    member.kill(f"all others had waited for it for {still_s:.0f} s (--kill-stalled)")

    def _kill_lingering(self, now: float) -> list[Stall]:
        lines = []
        for member in self.pool.members.values():
            if member.done_at is not None and now - member.done_at > LEAVING_S and member.process.is_alive():
                member.done_at = None
                member.kill("it had finished")
                line = (
                    f"worker {member.rank} (pid {member.process.pid}) had finished, but its process did not end within "
                    f"{LEAVING_S:g} s (has it a thread that is not a daemon?): killed"
                )
                lines.append(Stall(member.rank, line))
        return lines


def _is_stopped(member: Member) -> bool:
    """Whether the process was stopped: by SIGSTOP, by a debugger."""
    with contextlib.suppress(psutil.Error):
        return psutil.Process(member.process.pid).status() in STOPPED
    return False


def _has_thread(member: Member, thread: int) -> bool:
    return thread == member.process.pid or Path(f"/proc/{member.process.pid}/task/{thread}").exists()
