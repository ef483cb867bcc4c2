"""Processes that do nothing but push into one shared model, with as much computing in between as they are told."""

from __future__ import annotations

import multiprocessing
import os
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from types import TracebackType

import torch
from torch import nn

from hogwild.algorithms.base import SHARED, WORKER
from hogwild.drivers.crew import PRELOAD
from hogwild.drivers.view import WorkerView
from hogwild.rules import Access, Gap, Guard, HeavyBall
from hogwild.shared.world import World

START_S = 60.0  # patience with a process that starts, or ends its turn
LEAD_S = 0.01  # from the order to the common start
BUFFERS = {"x": SHARED, "s": SHARED, "v": WORKER, "snapshot": WORKER}
MATRIX = 48  # compute: products of two such matrices, which stay in the first cache


@dataclass(frozen=True)
class Order:
    """Push for `window_s`, beginning at `starts_at` (time.perf_counter(), one clock for all processes).

    `rule`: `add` adds 1 to every parameter (x <- x + 1, 20 B each), `gap` is gap-aware with shifted momentum (36 B),
    `private` shares nothing: it reads and writes n numbers of the process's own.
    `compute_s`: work before every push, by calibration; its length is drawn from half to one and a half of that, or two
    equal processes would for ever keep the phase in which they began. `lag_s`: how much later the second one begins.
    """

    access: Access
    rule: str
    window_s: float
    compute_s: float = 0.0
    lag_s: float = 0.0
    starts_at: float = 0.0


@dataclass(frozen=True)
class Tally:
    """What one process did: pushes inside the window, the one that was cut in proportion; all pushes; median times.

    A push that waits for a lock when the window closes counts in part too: at most one push in the lock's favour.
    """

    pushes: float
    applied: int
    compute_s: float
    push_s: float


class Pushers:
    """Two processes with a world of `n` parameters, waiting for orders. A context manager: none is left behind."""

    def __init__(self, n: int, processes: int = 2) -> None:
        self.world = World.create(Flat(n), BUFFERS, processes)
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOAD)
        self._lines: list[Connection] = []
        self._processes = []
        for rank in range(processes):
            ours, theirs = context.Pipe()
            process = context.Process(target=serve, args=(self.world, rank, theirs), daemon=True)
            process.start()
            theirs.close()
            self._lines.append(ours)
            self._processes.append(process)

    def __enter__(self) -> Pushers:
        for rank in range(len(self._lines)):
            self._hear(rank)  # ready
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.kill()
            process.join()
        for line in self._lines:
            line.close()

    def run(self, order: Order, processes: int) -> list[Tally]:
        """The first `processes` of them carry out the order together."""
        order = replace(order, starts_at=time.perf_counter() + LEAD_S)
        for rank, line in enumerate(self._lines[:processes]):
            line.send(replace(order, starts_at=order.starts_at + rank * order.lag_s))
        return [self._hear(rank) for rank in range(processes)]

    def reset(self) -> None:
        """x <- 0: sums of ones are exact from here."""
        self.world.arena.tensor("x").zero_()

    def lost_fraction(self, tallies: Sequence[Tally]) -> float:
        """Of the ones that were added to x since `reset`, the share that is not there; exact."""
        added = sum(tally.applied for tally in tallies) * self.world.layout.n
        return 1 - self.world.arena.tensor("x").sum(dtype=torch.float64).item() / added

    def _hear(self, rank: int) -> Tally:
        if not self._lines[rank].poll(START_S):
            raise TimeoutError(f"pushing process {rank} did not answer within {START_S:.0f} s")
        tally: Tally = self._lines[rank].recv()
        return tally


def rate(tallies: Sequence[Tally], window_s: float) -> float:
    """Pushes per second of all processes together."""
    return sum(tally.pushes for tally in tallies) / window_s


class Flat(nn.Module):
    """A model of n parameters that computes nothing."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(n))


def serve(world: World, rank: int, line: Connection) -> None:
    """A pushing process: carries out orders until it is killed. On a core of its own: windows are too short for the
    scheduler to part two processes that it woke on one.
    """
    torch.set_num_threads(1)
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[rank % len(cores)]})
    pusher = Pusher(world, rank)
    line.send(None)
    while True:
        line.send(pusher.carry_out(line.recv()))


class Pusher:
    """One process's views, gradients and calibrated work."""

    def __init__(self, world: World, rank: int) -> None:
        self._views = {
            access: WorkerView(world, rank, BUFFERS, access=access, guard=Guard.ELEMENT) for access in Access
        }
        n = world.layout.n
        self._ones = [torch.full((n,), -1.0)]
        self._g = [torch.empty(n).normal_(generator=torch.Generator().manual_seed(rank))]
        self._work = Work()
        self._random = random.Random(rank)
        for rule in ("add", "gap"):
            self._push(self._views[Access.RACING], rule)  # touches all pages

    def carry_out(self, order: Order) -> Tally:
        view = self._views[order.access]
        products = self._work.products(order.compute_s)
        compute, push = [], []
        while time.perf_counter() < order.starts_at:
            pass
        began = ended = time.perf_counter()
        stops_at = ended + order.window_s
        while ended < stops_at:
            began = ended
            self._work.do(round(products * self._random.uniform(0.5, 1.5)))
            computed = time.perf_counter()
            self._push(view, order.rule)
            ended = time.perf_counter()
            compute.append(computed - began)
            push.append(ended - computed)
        pushes = len(push) - (ended - stops_at) / (ended - began)
        return Tally(pushes, len(push), statistics.median(compute), statistics.median(push))

    def _push(self, view: WorkerView, rule: str) -> None:
        if rule == "private":
            self._ones[0].mul_(1.0)
        elif rule == "add":
            view.lr = 1.0
            view.push(self._ones)
        else:
            view.lr = 1e-6
            view.push(self._g, penalty=Gap(), momentum=HeavyBall(0.9))


class Work:
    """Busy work in units of one small matrix product, timed when idle: a process that is held up does it later."""

    def __init__(self) -> None:
        self._a, self._b, self._out = (torch.ones(MATRIX, MATRIX) for _ in range(3))
        many = 1000
        times = []
        for _ in range(5):
            began = time.perf_counter()
            self.do(many)
            times.append((time.perf_counter() - began) / many)
        self._product_s = min(times)

    def products(self, seconds: float) -> int:
        return round(seconds / self._product_s)

    def do(self, products: int) -> None:
        for _ in range(products):
            torch.mm(self._a, self._b, out=self._out)
