"""The context that the parent gives to a worker process, and the process's own set-up."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from hogwild.drivers.fork_server import die_with_parent
from hogwild.drivers.interrupts import leave_to_parent
from hogwild.drivers.processes.slots import Slots
from hogwild.files.writing import open_append
from hogwild.shared.arena import Arena
from hogwild.shared.world import World


@dataclass
class WorkerContext:
    """The context of one worker process, besides the job: memory to map, rank, pipe to the parent, log."""

    world: World
    rank: int
    events: Connection
    log: Path
    arena: Arena | None
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    core: int | None = None  # core to which the process is pinned, if any
    gpu: str | None = None  # GPU on which it computes, as the parent numbers it
    began: float = field(default_factory=time.monotonic)  # start of the run; all processes read the same clock
    slots: Slots | None = None  # with batches of loaders

    def enter(self) -> None:
        """Sets this process up, on its core."""
        set_up(self.log)
        if self.core is not None:
            os.sched_setaffinity(0, {self.core})


def set_up(log: Path) -> None:
    """Sets a process of a run up: one thread, its own log, the signals that end a run left to the parent, death with
    it.
    """
    die_with_parent()
    leave_to_parent()
    file = open_append(log)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)
    torch.set_num_threads(1)
