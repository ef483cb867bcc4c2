"""The pool of worker processes: starts them, receives their messages, and detects deaths."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import psutil

from hogwild import system
from hogwild.drivers import fork_server
from hogwild.drivers.job.job import Job
from hogwild.drivers.job.shared_split import SharedSplit
from hogwild.drivers.processes import entry
from hogwild.drivers.processes.context import WorkerContext
from hogwild.drivers.processes.deaths import Deaths
from hogwild.drivers.processes.slots import Slots
from hogwild.errors import TooFewWorkersError, UsageError
from hogwild.kernels.control import Phase
from hogwild.shared.device_memory import identity
from hogwild.shared.world import World

ABANDONED = 255  # exit code that multiprocessing reports if the fork server has died
MEMORY_S = 1.0


@dataclass(frozen=True)
class Event:
    """A message of worker `rank` (ready, due, metrics, returned, done, nonfinite, samples, error), or its death (died:
    it was not done).

    `detail`, in this order of kinds: its process number; nothing; sums and counts by name; a pickle; the time of its
    end; the arguments of Faults.nonfinite and of Faults.bad_samples; (kind, text); the cause of its death.
    `code`: the exit code, negative for a signal, of the worker, or of its fork server (process number `server`) if that
    died before.
    """

    kind: str
    rank: int
    detail: Any = None
    code: int = 0
    server: int | None = None


@dataclass
class Member:
    """One worker process as the parent sees it."""

    rank: int
    process: BaseProcess
    events: Connection
    is_done: bool = False
    error: tuple[str, str] | None = None
    rss_bytes: int = 0
    beats: int = -1
    beat_at: float = field(default_factory=time.monotonic)
    phase: Phase = Phase.STARTING  # as it was last seen
    is_named: bool = False  # as stalled
    is_blocked: bool = False  # it stands still, and a stalled worker holds a lock that it may wait for
    is_ready: bool = False
    done_at: float | None = None
    server: int | None = None  # the fork server that it was forked from
    killed_for: str | None = None  # why the parent killed it

    @property
    def sources(self) -> tuple[Connection, int]:
        """What becomes ready when the worker has told something, or has ended."""
        return self.events, self.process.sentinel

    def kill(self, why: str) -> None:
        """Ends the process at once, wherever it is."""
        self.killed_for = self.killed_for or why
        self.process.kill()


class WorkerPool:
    """Starts and watches the workers of one job. A context manager: on leaving it no worker process is left."""

    def __init__(self, job: Job, world: World, split: SharedSplit, logs: Path, slots: Slots | None = None) -> None:
        self.world, self._slots = world, slots
        self.logs = logs
        self.deaths = Deaths(logs)
        self.members: dict[int, Member] = {}
        self._split = split
        self._measured_at = 0.0
        self._began = time.monotonic()
        self._cores = _cores(job.config.pin)
        self._context = multiprocessing.get_context(job.config.start_method)
        self._has_server = job.config.start_method == "forkserver"
        if self._has_server:
            self._context.set_forkserver_preload(fork_server.preload())
        self.payload = job.payload(split.stand_in)

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *_: object) -> None:
        for member in self.members.values():
            if member.process.is_alive():
                member.process.kill()
        for member in self.members.values():
            member.process.join()
            member.events.close()

    @property
    def alive(self) -> list[int]:
        """Workers that have not ended yet, as far as the parent knows."""
        return [member.rank for member in self.members.values() if not member.events.closed]

    @property
    def left(self) -> int:
        """The number of workers that have finished their part or are still working on it."""
        return sum(member.is_done or not member.events.closed for member in self.members.values())

    @property
    def working(self) -> list[int]:
        """Workers that have not finished their part."""
        return [rank for rank in self.alive if not self.members[rank].is_done]

    def start(self, rank: int) -> None:
        """Starts worker `rank`, or its replacement. TooFewWorkersError if that fails."""
        receive, send = self._context.Pipe()
        core = self._cores[rank % len(self._cores)] if self._cores else None
        log, device = self.logs / f"{rank}.log", self.world.arena.device_of(rank)
        data, shapes = self._split.arena(device), self._split.shapes
        context = WorkerContext(
            self.world, rank, send, log, data, shapes, core, identity(device), self._began, self._slots
        )
        process = self._context.Process(target=entry.main, args=(self.payload, context), name=f"hogwild-{rank}")  # type: ignore[attr-defined]
        try:
            with fork_server.signals_blocked():
                process.start()
        except (OSError, EOFError) as error:  # no more processes or file descriptors, or the fork server has died
            receive.close()
            server = fork_server.pid() if self._has_server else None
            death = None if server is None else self.deaths.of_server(server)
            why = str(error) if death is None else death[0]
            raise TooFewWorkersError(f"cannot start worker {rank} of {self.world.workers}: {why}") from error
        finally:
            send.close()
        self.members[rank] = Member(rank, process, receive, server=fork_server.pid() if self._has_server else None)

    def dismiss(self, rank: int) -> None:
        """Ends a worker that has nothing left to do, but is still computing."""
        member = self.members[rank]
        member.is_done, member.done_at = True, time.monotonic()
        member.kill("another worker has completed its batch")

    def send_on(self, rank: int) -> None:
        """Lets a worker go on that waits for the parent (Worker._meet_parent)."""
        with contextlib.suppress(OSError):  # it has died meanwhile
            self.members[rank].events.send(True)

    def wait(self, timeout_s: float) -> list[Event]:
        """The events since the last call; waits at most `timeout_s` for the first one."""
        sources: dict[object, int] = {source: rank for rank in self.alive for source in self.members[rank].sources}
        if not sources:
            return []
        ready = {sources[source] for source in connection.wait(sources, timeout_s)}  # type: ignore[arg-type]
        return [event for rank, member in self.members.items() if rank in ready for event in self._hear(member)]

    def _hear(self, member: Member) -> Iterator[Event]:
        gone = not member.process.is_alive()  # before reading, so that all messages of an ended process are read
        server = None
        if gone and member.process.exitcode == ABANDONED and member.process.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(member.process.pid, signal.SIGKILL)  # it may still be running, and it is about to be replaced
                server = member.server
        with contextlib.suppress(EOFError, OSError):
            while member.events.poll():
                kind, *detail = member.events.recv()
                if kind == "done":
                    member.is_done, member.done_at = True, time.monotonic()
                member.is_ready |= kind == "ready"
                if kind == "error":
                    member.error = (detail[0], detail[1])
                yield Event(kind, member.rank, detail[0] if len(detail) == 1 else tuple(detail))
        if gone:
            member.process.join()
            member.events.close()
            if not member.is_done:
                yield self._death(member, server)

    def _death(self, member: Member, server: int | None) -> Event:
        if server is not None and (death := self.deaths.of_server(server)) is not None:
            return Event("died", member.rank, *death, server)
        process, error = member.process, member.error
        code = process.exitcode or 0
        line = self.deaths.of_worker(
            member.rank,
            process.pid,
            code,
            error=None if error is None else error[1],
            killed_for=member.killed_for,
            rss_bytes=member.rss_bytes,
        )
        return Event("died", member.rank, line, code)

    def measure_memory(self) -> None:
        """Notes each worker's resident memory now and then, for the message of its death."""
        if time.monotonic() - self._measured_at < MEMORY_S:
            return
        self._measured_at = time.monotonic()
        for member in self.members.values():
            with contextlib.suppress(psutil.Error):
                member.rss_bytes = psutil.Process(member.process.pid).memory_info().rss


def _cores(pin: str) -> list[int]:
    if pin == "none":
        return []
    usable = system.own_cores()
    asked = usable if pin == "auto" else system.parse_cores(pin)
    if absent := sorted(set(asked) - set(usable)):
        raise UsageError(f"--pin {pin}: core {absent[0]} is not one of those this process may use: {usable}")
    return asked
