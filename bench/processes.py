"""Processes on one world that carry out orders together, each pinned to its own core."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import nn

from hogwild import system
from hogwild.drivers.fork_server import PRELOAD
from hogwild.shared.world import World

START_S = 60.0  # longest wait for a process to start, or to end its turn
LEAD_S = 0.01  # time from the order to the common start

T = TypeVar("T")


class Flat(nn.Module):
    """A model of n parameters that computes nothing."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(n))


class Hand(Protocol):
    """The work inside a process. An order is a frozen dataclass with `starts_at` (time.perf_counter(), one clock for
    all processes) and `lag_s`, how much later each next process begins.
    """

    def carry_out(self, order: Any) -> Any: ...


class Processes(Generic[T]):
    """`processes` processes that wait for orders and answer each with a T. A context manager: it ends all of them."""

    def __init__(self, world: World, make: Callable[[World, int], Hand], processes: int) -> None:
        self.world = world
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOAD)
        self._lines: list[Connection] = []
        self._processes = []
        for rank in range(processes):
            ours, theirs = context.Pipe()
            process = context.Process(target=serve, args=(world, make, rank, theirs), daemon=True)
            process.start()
            theirs.close()
            self._lines.append(ours)
            self._processes.append(process)
        for line in self._lines:
            self._hear(line)  # ready

    def __enter__(self) -> Processes[T]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.kill()
            process.join()
        for line in self._lines:
            line.close()

    def run(self, order: Any, processes: int) -> list[T]:
        """The first `processes` processes carry out the order together."""
        starts_at = time.perf_counter() + LEAD_S
        lines = self._lines[:processes]
        for rank, line in enumerate(lines):
            line.send(replace(order, starts_at=starts_at + rank * order.lag_s))
        return [self._hear(line) for line in lines]

    def _hear(self, line: Connection) -> Any:
        if not line.poll(START_S):
            raise TimeoutError(f"process {self._lines.index(line)} did not answer within {START_S:.0f} s")
        return line.recv()


def serve(world: World, make: Callable[[World, int], Hand], rank: int, line: Connection) -> None:
    """Carries out orders until it is killed. It is pinned to a core, because in a short window the scheduler may leave
    two processes on the core on which it woke them.
    """
    torch.set_num_threads(1)
    cores = system.own_cores()
    os.sched_setaffinity(0, {cores[rank % len(cores)]})
    hand = make(world, rank)
    line.send(None)
    while True:
        line.send(hand.carry_out(line.recv()))
