"""Runs in which one worker stands still at an exact place (parking.py), as their parent sees them."""

from __future__ import annotations

import collections
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil
import pytest
from command_runs import recorded_tickets
from parking import Parked, Samples

import hogwild
from hogwild.drivers.checkpoints.state import State
from hogwild.drivers.processes.pool import Event
from hogwild.drivers.processes.trainer import Trainer
from hogwild.drivers.processes.watch import Watch

WAIT_S = 100.0
SAMPLES, BATCH, EPOCHS = 330, 10, 2
BATCHES = EPOCHS * SAMPLES // BATCH
LOOK_S = 0.005
LOCKS = ("the lock of the tickets", "the lock of the model", "stripe")  # those that an update takes, recorded or not


@dataclass(frozen=True)
class Case:
    """Where a worker stops, in a run of which algorithm; the phase that the control block must show, and the locks."""

    algorithm: str
    place: str
    phase: str
    locks: int = 0
    values: tuple[tuple[str, object], ...] = ()

    def __str__(self) -> str:
        return "-".join([self.algorithm, self.place.replace(" ", "-"), *(str(value) for _, value in self.values)])


@dataclass(frozen=True)
class Stopped:
    """A worker that stands still: its phase, the names of the locks that it holds, its ticket (-1: none)."""

    rank: int
    pid: int
    phase: str
    locks: tuple[str, ...]
    ticket: int
    workers: tuple[int, ...]  # the processes of all workers


def stopped_worker(trainer: Trainer) -> Stopped | None:
    """The worker that has been stopped, read from the control block; None if none has."""
    members = [member for member in trainer.pool.members.values() if member.process.is_alive()]
    for member in members:
        try:
            if psutil.Process(member.process.pid).status() != psutil.STATUS_STOPPED:
                continue
        except psutil.Error:
            continue
        control = trainer.world.control
        stats, pid = control.stats(member.rank), member.process.pid
        assert pid is not None
        held = [name for name, thread in control.lock_holders() if thread == pid]
        locks = tuple(name for name in held if name.startswith(LOCKS))
        pids = tuple(other.process.pid or 0 for other in members)
        return Stopped(member.rank, pid, stats["phase"].name, locks, stats["held"], pids)
    return None


@dataclass
class Attack:
    """Does `act` once, as soon as a worker stands still."""

    act: Callable[[Stopped], None]
    seen: Stopped | None = None
    trainer: Trainer | None = None

    def look(self, trainer: Trainer) -> None:
        if self.seen is None and (found := stopped_worker(trainer)) is not None:
            self.seen, self.trainer = found, trainer
            self.act(found)


def attack(patch: pytest.MonkeyPatch, act: Callable[[Stopped], None], *, at_the_gate: bool) -> Attack:
    """Has the parents of this process's runs look for a stopped worker; `at_the_gate`: they keep the gate closed, the
    first time, until there is one.
    """
    attack, once, copy = Attack(act), Watch.once, Trainer.copy

    def watched(watch: Watch, timeout_s: float) -> list[Event]:
        attack.look(watch.driver)  # type: ignore[arg-type]
        return once(watch, min(timeout_s, LOOK_S))

    def copied(trainer: Trainer) -> State:
        deadline = time.monotonic() + WAIT_S
        while at_the_gate and attack.seen is None and trainer.pool.working:
            assert time.monotonic() < deadline, "no worker comes to the closed gate"
            attack.look(trainer)
            time.sleep(LOOK_S / 10)
        return copy(trainer)

    patch.setattr(Watch, "once", watched)
    patch.setattr(Trainer, "copy", copied)
    return attack


def run(case: Case, folder: Path, **values: Any) -> hogwild.Result:
    """A run of three workers, each batch in its record. It evaluates twice per epoch where the gate is to be closed."""
    options: dict[str, Any] = {
        "workers": 3,
        "epochs": EPOCHS,
        "batch_size": BATCH,
        "lr": 0.01,
        "out": str(folder),
        "name": "run",
        "record": True,
        "eval_every": 0.5 if case.place == "gate" else 0,
        "ckpt_every": 0,
        **dict(case.values),
        **values,
    }
    data = (Samples(SAMPLES, 1), Samples(70, 2))
    return hogwild.fit(Parked(case.place, str(folder / "marker")), data, algorithm=case.algorithm, **options)


def tickets(result: hogwild.Result) -> collections.Counter[int]:
    """How often the gradient of each ticket was recorded."""
    return recorded_tickets(Path(result.path))


def be_a_parent(case: Case, folder: Path, line: Connection) -> None:
    """A run in this process, which tells of the worker that stands still and then waits to be killed itself."""

    def tell(stopped: Stopped) -> None:
        family = [child.pid for child in psutil.Process().children(recursive=True)]
        line.send((stopped, family))
        signal.pause()

    with pytest.MonkeyPatch.context() as patch:
        attack(patch, tell, at_the_gate=case.place == "gate")
        run(case, folder)
    line.send(None)


def kill(stopped: Stopped) -> None:
    os.kill(stopped.pid, signal.SIGKILL)


__all__ = ["Attack", "Case", "Stopped", "attack", "be_a_parent", "kill", "replace", "run", "tickets"]
