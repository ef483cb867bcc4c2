"""A worker's place in a run, and what its process does on taking it."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import signal
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from hogwild.files.writing import open_append
from hogwild.shared.arena import Arena
from hogwild.shared.world import World


@dataclass
class Seat:
    """A worker's place in the run: the memory it maps, its rank, the pipe to the parent, its log, its core."""

    world: World
    rank: int
    events: Connection
    log: Path
    arena: Arena | None
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    core: int | None = None
    gpu: str | None = None  # which one it computes on, as the parent sees it

    def take(self) -> None:
        """One thread, own log, never outlives the parent, leaves Ctrl-C to the parent."""
        parent = multiprocessing.parent_process()
        assert parent is not None, "a worker is started by multiprocessing"
        # The parent's end of this pipe closes when it dies, however it dies; the kernel then kills this process. Not
        # the death signal of prctl: the fork server is the one whose death that would report, and it lives as long as
        # a worker does.
        fcntl.fcntl(parent.sentinel, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(parent.sentinel, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(parent.sentinel, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
        if not parent.is_alive():
            os._exit(1)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        log = open_append(self.log)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        torch.set_num_threads(1)
        if self.core is not None:
            os.sched_setaffinity(0, {self.core})
