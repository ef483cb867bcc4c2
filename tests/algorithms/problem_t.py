"""Teams on the problem of tests/oracles.py, in two orders in which its workers come."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from itertools import islice

import torch
from harness import Point, Team, make
from oracles import LR, THREE, TIMES, arrivals


def team(name: str, optima: Sequence[float] = THREE, *, lr: float = LR, size: int = 1, **options: object) -> Team:
    def gradient(at: torch.Tensor, rank: int) -> list[torch.Tensor]:
        return [at[:size] - optima[rank]]

    start = Point(torch.zeros(size, dtype=torch.float64))
    return Team(make(name, **options), start, len(optima), gradient, lr)


def masters(one: Team, arrived: Sequence[int], buffer: str = "x") -> list[float]:
    """The master after so many arrivals."""
    order, values, before = arrivals(), [], 0
    for count in arrived:
        one.turns(islice(order, count - before))
        values.append(float(one.buffer(buffer)[0]))
        before = count
    return values


def cancelling(one: Team, until: float) -> dict[float, float]:
    """Time -> the master, at every update: an update cancels the gradients in flight, and all begin again."""
    seen: dict[float, float] = {}
    due = [(time, rank) for rank, time in enumerate(TIMES)]
    while min(due)[0] <= until + 1e-9:
        now, rank = heapq.heappop(due)
        version = one.world.control.version
        one.turn(rank)
        heapq.heappush(due, (now + TIMES[rank], rank))
        if one.world.control.version == version:
            continue
        seen[round(now, 9)] = float(one.buffer("x")[0])
        due = [(now + time, other) for other, time in enumerate(TIMES)]
        for other in set(range(len(TIMES))) - {rank}:
            one.begin_again(other)
    return seen
