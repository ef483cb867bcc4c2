"""The courier as the parent sees it: starts it, replaces it when it dies, hands on what it tells."""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from hogwild.boxes import courier
from hogwild.boxes.courier import CourierContext
from hogwild.boxes.header import Facts
from hogwild.boxes.memory import BoxMemory
from hogwild.boxes.rendezvous import Rendezvous
from hogwild.config import Config
from hogwild.drivers import fork_server
from hogwild.drivers.processes.context import WorkerContext
from hogwild.shared.control import Ledger, Tickets
from hogwild.shared.world import World

LOCK_S = 0.1
LEAVING_S = 5.0
RESTARTS_S = 1.0  # at most one courier per second is started
HOLDING_S = 5.0  # in which a courier that takes part at the gate gives a sign of life (exchange.POLL_S)
ELEMENTS_PER_S = 1e8  # which it adds at least, inside the gate


@dataclasses.dataclass
class CourierHandle:
    """A context manager: on leaving it, no courier is left. `log`: its output. `text`: the world of the
    text between boxes."""

    config: Config
    world: World
    memory: BoxMemory
    rendezvous: Rendezvous
    facts: Facts
    incarnation: int
    log: Path
    text: World | None
    is_resumed: bool = False

    def __post_init__(self) -> None:
        self.has_begun = False
        self._tickets: Tickets = self.world.control
        self._lines: Ledger = self.world.control
        self._patience_s = HOLDING_S + self.memory.flux.numel() / ELEMENTS_PER_S
        self._beats, self._beat_at = -1, 0.0
        self._killed_for = ""
        self._context = multiprocessing.get_context(self.config.start_method)
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None
        self._began = self._started_at = time.monotonic()

    def __enter__(self) -> CourierHandle:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.join(LEAVING_S if self.has_ended else 0.0)
            self._process.kill()
            self._process.join()
        if self._pipe is not None:
            self._pipe.close()

    has_ended = False

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def command(self, name: str, *detail: object) -> None:
        """Sends a command; one that has just died is replaced later, and gets none."""
        self.has_begun |= name == "begin"
        self.has_ended |= name == "end"
        if self._pipe is not None:
            with contextlib.suppress(OSError):
                self._pipe.send((name, *detail))

    def events(self, timeout_s: float = 0.0) -> Iterator[tuple[Any, ...]]:
        """What the courier has told. A death is `("died", how)`; then the next courier is started."""
        if self._process is None:
            if time.monotonic() - self._started_at > RESTARTS_S:
                self._start()
            return
        assert self._pipe is not None
        self._kill_holding()
        is_gone = not self._process.is_alive()
        with contextlib.suppress(EOFError, OSError):
            while self._pipe.poll(timeout_s):
                timeout_s = 0.0
                yield self._pipe.recv()
        if is_gone and not self.has_ended and self._tickets.mark_dead(self.world.workers, LOCK_S):
            code = self._process.exitcode or 0
            why = self._killed_for or fork_server.name_of(code)
            line = f"the courier (pid {self._process.pid}) died: {why}; log in {self.log}"
            self._process.join()
            self._pipe.close()
            self._process = self._pipe = None
            yield ("died", line)

    def _kill_holding(self) -> None:
        """Kills a courier that stands still inside the gate, or with a lock of the model: the workers of its box, and
        an evaluation, would wait for it. Its successor finishes what it was adding. Elsewhere it may stand still.
        """
        stats, now = self._lines.stats(self.world.workers), time.monotonic()
        if not stats["alive"] or stats["beats"] != self._beats:
            self._beats, self._beat_at = stats["beats"], now
        elif self._process is not None and now - self._beat_at > self._patience_s and not self._killed_for:
            self._killed_for = f"it stood still inside an update for {now - self._beat_at:.0f} s, and was killed"
            self._process.kill()

    def _start(self) -> None:
        self._killed_for = ""
        receive, send = self._context.Pipe()
        process = WorkerContext(self.world, self.world.workers, send, self.log, None, began=self._began)
        context = CourierContext(
            process,
            self.config,
            self.rendezvous,
            self.memory,
            self.facts,
            self.incarnation,
            self.has_begun,
            self.text,
            self.is_resumed,
        )
        self._started_at = time.monotonic()
        self._process = self._context.Process(target=courier.main, args=(context,), name="hogwild-courier")  # type: ignore[attr-defined]
        try:
            with fork_server.signals_blocked():
                self._process.start()
            self._pipe = receive
        except (OSError, EOFError):
            receive.close()
            self._process = None  # tried again
        finally:
            send.close()
