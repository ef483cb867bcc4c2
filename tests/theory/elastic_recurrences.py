"""EASGD, EAMSGD and DOWNPOUR as programs run them, round robin on one weight, without polynomials."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Body = Callable[[Vector, Vector, Vector, int, int], None]
"""(x [p], v [p], center [1], worker, its clock): one pass of a worker's loop, in place."""


def easgd(k: float, alpha: float, period: int, momentum: float = 0.0, exchange: str = "paper") -> Body:
    def meet(x: Vector, center: Vector, i: int) -> None:
        d = alpha * (x[i] - center[0])
        x[i] -= d
        center[0] += d

    def body(x: Vector, v: Vector, center: Vector, i: int, clock: int) -> None:
        seen = x[i]
        if exchange == "paper" and clock % period == 0:
            meet(x, center, i)
        v[i] = momentum * v[i] - k * (seen + momentum * v[i])
        x[i] += v[i]
        if exchange == "post" and (clock + 1) % period == 0:
            meet(x, center, i)

    return body


def downpour(k: float, period: int) -> Body:
    def body(x: Vector, v: Vector, center: Vector, i: int, clock: int) -> None:
        if clock % period == 0:
            center[0] += v[i]
            x[i], v[i] = center[0], 0.0
        g = k * x[i]
        x[i] -= g
        v[i] -= g

    return body


def run(body: Body, workers: int, start: Vector, ticks: int) -> Vector:
    """The state (x_1 ... x_p, v_1 ... v_p, center) after `ticks` ticks, from the start of a cycle."""
    x, v, center = np.split(start.astype(float), [workers, 2 * workers])
    for tick in range(ticks):
        body(x, v, center, tick % workers, tick // workers)
    return np.concatenate([x, v, center])


def cycle_radius(body: Body, workers: int, period: int) -> float:
    """The largest eigenvalue of the map of one cycle, by running it on every unit vector."""
    columns = [run(body, workers, unit, workers * period) for unit in np.eye(2 * workers + 1)]
    return float(abs(np.linalg.eigvals(np.stack(columns, axis=1))).max())
