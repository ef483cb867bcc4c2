"""The problem on which traces of algorithms were computed by hand or with public code, and what came out.

F_i(x) = (x - b_i)^2 / 2 in float64, all states 0 at first, lr 0.1; the optimum of the mean over b = (1, 2, 4) is 7/3.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence

import pytest

LR = 0.1
THREE, FOUR = (1.0, 2.0, 4.0), (1.0, 2.0, 4.0, 5.0)
TIMES = (1.0, 2.1, 4.3)  # of a gradient of each of three workers
AFTER = (7, 14, 28, 280)  # arrivals

UNEQUAL: list[tuple[str, dict[str, object], tuple[float, ...]]] = [
    ("rescaled", {}, (1.442735596708, 2.204144539112, 2.065107995861, 2.379975088693)),
    ("ia2sgd", {}, (0.233333333333, 1.633540740741, 2.531131423824, 2.333333333336)),
    ("ia2sgd", {"max_age": 4}, (0.233333333333, 1.199970370370, 1.338845285958, 1.366232943532)),
    ("ringleader", {}, (0.233333333333, 0.886666666667, 1.638000000000, 2.333333183299)),
    ("ringleader", {"fresh": True}, (0.233333333333, 0.884074074074, 1.621450617284, 2.333333012642)),
    ("fedbuff", {"k": 2, "period": 1}, (0.322100288425, 0.722963183762, 1.029097920500, 1.513223704722)),
    ("fedbuff", {"k": 2, "period": 2}, (0.190000000000, 0.579763772050, 0.943475765789, 1.547134541610)),
    ("area", {"period": 1}, (0.300233333333, 0.553276223333, 0.913664208006, 2.320202759051)),
    ("area", {"period": 2}, (0.207100000000, 0.556413923333, 0.815718375863, 2.319191090822)),
    ("picky", {"distance_limit": 0.15}, (0.3439, 0.8073352, 1.217728049212, 1.648738018807)),
    ("downpour", {"period": 2}, (0.7239, 1.879791790000, 1.634645260541, 1.835221385376)),
    ("downpour", {"period": 2, "delay_limit": 6}, (0.7239, 1.11979179, 1.347714100541, 1.337352461346)),
]
"""Algorithm, options, the master after so many arrivals of workers that take TIMES."""

CANCELLING: list[tuple[str, dict[str, object], dict[float, float]]] = [
    ("k-batch-sync", {"k": 4}, {3: 0.125, 6: 0.2375, 18: 0.58569875}),
    ("k-batch-sync", {"k": 7}, {4.3: 0.171428571429, 25.8: 0.803244}),
    ("malenia", {}, {4.3: 0.233333333333, 8.6: 0.443333333333, 12.9: 0.632333333333, 25.8: 1.093304333333}),
]
"""Algorithm, options, time -> the master; an update cancels the gradients in flight."""


def arrivals(times: Sequence[float] = TIMES) -> Iterator[int]:
    """The workers in the order in which their gradients are ready: 0 0 1 0 0 1 2 0 0 1 ..."""
    due = [(time, rank, 1) for rank, time in enumerate(times)]
    while True:
        _, rank, count = heapq.heappop(due)
        yield rank
        heapq.heappush(due, ((count + 1) * times[rank], rank, count + 1))


def near(*expected: float, digits: int = 12) -> object:
    """Equal to what was printed with so many digits."""
    return pytest.approx(list(expected), abs=0.6 * 10**-digits)
