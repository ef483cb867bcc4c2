"""Round-robin ADMM on F(x) = h x^2 / 2. It can diverge because the learning rate is too small; EASGD cannot.

Tick t belongs to worker i = t mod p (lambda: its multiplier, scaled by rho; e = lr rho, k = h lr):

    lambda_i <- lambda_i - (x_i - c)
    x_i      <- ((1 - k) x_i + e (lambda_i + c)) / (1 + e)
    c        <- mean_j (x_j - lambda_j)

Source: eq. 8-11 and figure 1 of Zhang, Choromanska and LeCun 2015 (arXiv:1412.6651). For h = 1, lr and rho are those of
the figure; another h behaves as h = 1 at (h lr, rho / h). The edge and the peak of the unstable region: derived here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hogwild.theory.moments import first_failure

SMALLEST = 1e-5  # in units of 1 / (1 + rho): far below the lr at which the radius peaks
LARGEST = 1.0
STEPS = 60
GOLDEN = (math.sqrt(5) - 1) / 2

State = NDArray[np.float64]
"""[2 p + 1, ...]: lambda_1, x_1, ..., lambda_p, x_p, c."""


@dataclass(frozen=True)
class Region:
    """Round-robin ADMM diverges at the learning rates 0 < lr < edge, fastest at lr = peak.

    All values are 0 if it never diverges. radius: per cycle of p ticks, at lr = peak.
    """

    edge: float
    peak: float
    radius: float


def tick(state: State, worker: int, lr: ArrayLike, rho: ArrayLike) -> None:
    """One tick of `worker`, in place, at curvature 1. Mutates `state` [2 p + 1, ...]; lr, rho broadcast to the rest."""
    own, x, center = state[2 * worker], state[2 * worker + 1], state[-1]
    penalty = np.asarray(lr) * np.asarray(rho)
    own -= x - center
    x[...] = ((1 - np.asarray(lr)) * x + penalty * (own + center)) / (1 + penalty)
    center[...] = (state[1:-1:2] - state[0:-1:2]).mean(axis=0)


def cycle(workers: int, lr: ArrayLike, rho: ArrayLike) -> State:
    """The matrices [..., 2 p + 1, 2 p + 1] of p ticks, for all values of lr and rho: the algorithm run on the identity.

    Raises ValueError unless workers >= 1, lr > 0 and rho >= 0.
    """
    if workers < 1 or np.min(lr) <= 0 or np.min(rho) < 0:
        raise ValueError(f"ADMM needs workers >= 1, lr > 0 and rho >= 0; they are {workers}, {lr!r}, {rho!r}")
    lr, rho = (np.asarray(value, dtype=float)[..., None] for value in np.broadcast_arrays(lr, rho))
    size = 2 * workers + 1
    state = np.tile(np.eye(size).reshape(size, *(1,) * (lr.ndim - 1), size), (1, *lr.shape[:-1], 1))
    for worker in range(workers):
        tick(state, worker, lr, rho)
    return np.moveaxis(state, 0, -2)


def radius(workers: int, lr: ArrayLike, rho: ArrayLike) -> NDArray[np.float64]:
    """The factor by which the slowest mode changes per cycle, for all values of lr and rho. Errors as for `cycle`."""
    return np.asarray(np.abs(np.linalg.eigvals(cycle(workers, lr, rho))).max(axis=-1))


def region(workers: int, rho: float) -> Region:
    """The learning rates at which round-robin ADMM diverges at penalty `rho` > 0, curvature 1. None for 1 or 2 workers.

    Raises ValueError for workers < 1 or rho <= 0.
    """
    if not 0 < rho < math.inf:
        raise ValueError(f"rho is {rho:g}; it must be a number > 0")

    def is_unstable(lr: float) -> bool:
        return float(radius(workers, lr, rho)) > 1.0

    smallest = SMALLEST / (1 + rho)
    if not is_unstable(smallest):
        return Region(0.0, 0.0, 0.0)
    edge = first_failure(is_unstable, smallest, LARGEST)
    lower, upper = smallest, edge
    for _ in range(STEPS):
        one, two = upper - GOLDEN * (upper - lower), lower + GOLDEN * (upper - lower)
        lower, upper = (lower, two) if radius(workers, one, rho) >= radius(workers, two, rho) else (one, upper)
    peak = (lower + upper) / 2
    return Region(edge, peak, float(radius(workers, peak, rho)))


def trajectory(workers: int, lr: float, rho: float, start: float, ticks: int) -> NDArray[np.float64]:
    """The center after ticks 1, 2, ..., [ticks], from lambda = 0 and x = c = start."""
    state = np.full(2 * workers + 1, start)
    state[:-1:2] = 0.0
    centers = np.empty(ticks)
    for number in range(ticks):
        tick(state[:, None], number % workers, lr, rho)
        centers[number] = state[-1]
    return centers
