"""Processes that push into one shared model, with a given amount of compute between pushes."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from bench.processes import Flat, Processes
from hogwild.buffers import SHARED, SNAPSHOT, WORKER
from hogwild.drivers.view.worker_view import WorkerView
from hogwild.rules import Access, Gap, Guard, HeavyBall
from hogwild.shared.world import World

BUFFERS = {"x": SHARED, "s": SHARED, "v": WORKER, "snapshot": SNAPSHOT}
MATRIX = 48  # compute: products of two such matrices, which stay in the first cache


@dataclass(frozen=True)
class Order:
    """Push for `window_s`, beginning at `starts_at` (time.perf_counter(), one clock for all processes).

    `rule`: `add` adds 1 to every parameter (x <- x + 1, 20 B each), `gap` is gap-aware with shifted momentum (36 B),
    `private` shares nothing: it reads and writes n numbers of the process's own.
    `compute_s`: calibrated work before every push. Its length is drawn from 0.5 to 1.5 times that, because two equal
    processes would otherwise keep their initial phase. `lag_s`: how much later the second process begins.
    """

    access: Access
    rule: str
    window_s: float
    compute_s: float = 0.0
    lag_s: float = 0.0
    starts_at: float = 0.0


@dataclass(frozen=True)
class Tally:
    """The counts of one process: pushes inside the window (the last one in proportion), all pushes, median times.

    A push that waits for a lock when the window ends also counts in part: at most one push in favour of locks.
    """

    pushes: float
    applied: int
    compute_s: float
    push_s: float


class Pushers(Processes[Tally]):
    """Two pushing processes with a world of `n` parameters."""

    def __init__(self, n: int, processes: int = 2) -> None:
        super().__init__(World.create(Flat(n), BUFFERS, processes), Pusher, processes)

    def reset(self) -> None:
        """x <- 0. From 0, sums of ones are exact."""
        self.world.arena.tensor("x").zero_()

    def lost_fraction(self, tallies: Sequence[Tally]) -> float:
        """The exact fraction of the ones added since `reset` that is missing in x."""
        added = sum(tally.applied for tally in tallies) * self.world.layout.n
        return 1 - self.world.arena.tensor("x").sum(dtype=torch.float64).item() / added


def rate(tallies: Sequence[Tally], window_s: float) -> float:
    """Pushes per second of all processes together."""
    return sum(tally.pushes for tally in tallies) / window_s


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
            self._push(self._views[Access.RACING], rule)  # touch all pages

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
    """Busy work in units of one small matrix product, timed on an idle core. A delayed process finishes it later."""

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
