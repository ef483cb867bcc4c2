"""The problem on which the traces of algorithms were computed, and two orders in which its workers come.

F_i(x) = (x - b_i)^2 / 2 in float64, all states 0 at first, lr 0.1; the optimum of the mean over b = (1, 2, 4) is 7/3.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from itertools import islice

import pytest
import torch
from harness import Point, Team, make

LR = 0.1
THREE, FOUR = (1.0, 2.0, 4.0), (1.0, 2.0, 4.0, 5.0)
TIMES = (1.0, 2.1, 4.3)  # of a gradient of each of three workers


def arrivals(times: Sequence[float] = TIMES) -> Iterator[int]:
    """The workers in the order in which their gradients are ready: 0 0 1 0 0 1 2 0 0 1 ..."""
    due = [(time, rank, 1) for rank, time in enumerate(times)]
    while True:
        _, rank, count = heapq.heappop(due)
        yield rank
        heapq.heappush(due, ((count + 1) * times[rank], rank, count + 1))


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


def near(*expected: float, digits: int = 12) -> object:
    """Equal to what was printed with so many digits."""
    return pytest.approx(list(expected), abs=0.6 * 10**-digits)


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
