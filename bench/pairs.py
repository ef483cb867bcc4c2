"""Processes that average random pairs of replicas, in every way that is compared."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

from bench.loops import Loops
from bench.processes import Flat, Processes
from hogwild.buffers import SHARED, Buffer, Scope
from hogwild.kernels import pair_average
from hogwild.kernels.control import STRIPE
from hogwild.shared.world import World

REPLICAS = 8
LOCKED = {"chunk locks, skip": "skip", "chunk locks, blocking": "blocking"}
COMPILED = {"plain loop, no lock": "pair_plain", "compare-and-exchange": "pair_atomic"}
TORCH = "torch, 3 operations, no lock"
Call = Callable[[int, int], int]  # (i, j) -> number of averaged chunks: all chunks if there is no lock


@dataclass(frozen=True)
class Order:
    """Average random pairs for `window_s`, in the way named `way`."""

    way: str
    window_s: float
    lag_s: float = 0.0
    starts_at: float = 0.0


@dataclass(frozen=True)
class Tally:
    """Whole pairs averaged inside the window, counted by their chunks; the share of chunks that were skipped."""

    pairs: float
    skipped: float


class Averagers(Processes[Tally]):
    """Two processes that average `REPLICAS` replicas of n parameters. The `COMPILED` ways need a compiler."""

    def __init__(self, n: int, compiled: bool) -> None:
        world = World.create(Flat(n), {"x": SHARED, "replica": Buffer(Scope.REPLICA, locks=True)}, REPLICAS)
        super().__init__(world, partial(Averager, compiled=compiled), processes=2)
        self.ways = [*LOCKED, *(COMPILED if compiled else ()), TORCH]

    def reset(self) -> torch.Tensor:
        """Replicas drawn from N(0, 1); returns their sum [n], float64."""
        for rank in range(REPLICAS):
            self.world.arena.tensor("replica", rank).normal_()
        return self.sum()

    def sum(self) -> torch.Tensor:
        replicas = [self.world.arena.tensor("replica", rank) for rank in range(REPLICAS)]
        return torch.stack(replicas).sum(0, dtype=torch.float64)


class Averager:
    """One process's calls for every pair and way."""

    def __init__(self, world: World, rank: int, compiled: bool) -> None:
        self._world = world
        self._replicas = [world.arena.tensor("replica", other) for other in range(REPLICAS)]
        self._chunks = -(-world.layout.n // STRIPE)
        self._difference = torch.empty(world.layout.n)
        self._random = random.Random(rank)
        self._calls = {way: self._locked(order) for way, order in LOCKED.items()} | {TORCH: self._in_torch}
        if compiled:
            loops = Loops.build()
            self._calls |= {way: self._compiled(loops, name) for way, name in COMPILED.items()}
        for call in self._calls.values():
            call(0, 1)  # touch the pages, fill the caches

    def carry_out(self, order: Order) -> Tally:
        call = self._calls[order.way]
        pairs = [tuple(self._random.sample(range(REPLICAS), 2)) for _ in range(1000)]
        calls = averaged = 0
        while time.perf_counter() < order.starts_at:
            pass
        stops_at = order.starts_at + order.window_s
        while time.perf_counter() < stops_at:
            averaged += call(*pairs[calls % len(pairs)])
            calls += 1
        took_s = time.perf_counter() - order.starts_at
        done = averaged / self._chunks
        return Tally(done * order.window_s / took_s, 1 - done / calls)

    def _compiled(self, loops: Loops, name: str) -> Call:
        calls = {
            (i, j): loops.pair(name, self._replicas[i], self._replicas[j], 0.5)
            for i, j in itertools.permutations(range(REPLICAS), 2)
        }

        def call(i: int, j: int) -> int:
            calls[i, j]()
            return self._chunks

        return call

    def _locked(self, order: str) -> Call:
        world, replicas = self._world, self._replicas
        locks = [world.locks(rank) for rank in range(REPLICAS)]

        def call(i: int, j: int) -> int:
            return pair_average(
                replicas[i], replicas[j], locks_a=locks[i], locks_b=locks[j], n_locks=world.stripes, order=order
            ).averaged

        return call

    def _in_torch(self, i: int, j: int) -> int:
        a, b = self._replicas[i], self._replicas[j]
        torch.sub(b, a, out=self._difference)
        a.add_(self._difference, alpha=0.5)
        b.sub_(self._difference, alpha=0.5)
        return self._chunks
