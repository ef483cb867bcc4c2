"""Expected delay of the rows of a table, in closed form.

A batch of B lookups, drawn independently with the probabilities p, touches row r with the probability

    q_r = 1 - (1 - p_r)^B

Of N workers in turn, N - 1 others push between a worker's lookup and its push, and a push of theirs touches row r with
the same probability. Over all rows that a push touches,

    mean delay  = (N - 1) sum q_r^2 / sum q_r
    shared      = sum q_r (1 - (1 - q_r)^(N - 1)) / sum q_r        touched by another worker meanwhile

A dense model has N - 1 and 1. A row with p_r B >> 1 is touched by every push and has the whole delay; a cold one has
none. Of Hogwild! (Recht et al. 2011) these are Delta and rho, averaged over the updates and for minibatches; derived
here.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


class RowDelay(NamedTuple):
    """`mean` in pushes; `shared`: the part of touched rows with a delay > 0; `hottest`: the delay of the row that is
    touched most.
    """

    mean: float
    shared: float
    hottest: float


def zipf(rows: int, exponent: float) -> Array:
    """Probabilities [rows] proportional to 1 / k^exponent; exponent 0: uniform."""
    weights = np.arange(1, rows + 1, dtype=np.float64) ** -exponent
    probabilities: Array = weights / weights.sum()
    return probabilities


def touched(p: Array, batch: int) -> Array:
    """q [rows]: the probability that a batch of `batch` lookups touches each row, from p [rows]."""
    q: Array = -np.expm1(batch * np.log1p(-np.minimum(p, 1 - 1e-16)))
    return q


def row_delay(q: Array, workers: int) -> RowDelay:
    """The expected delay of rows that pushes touch with the probabilities q [rows], for that many workers in turn."""
    others, total = workers - 1, float(q.sum())
    if not total:
        return RowDelay(0.0, 0.0, 0.0)
    mean = others * float((q**2).sum()) / total
    shared = float((q * (1 - (1 - q) ** others)).sum()) / total
    return RowDelay(mean, shared, others * float(q.max()))


def measured_row_delay(counts: Array, pushes: float, workers: int) -> RowDelay:
    """The same from counts [rows] of the pushes that touched each row, out of `pushes`.

    n (n - 1) / (T (T - 1)) stands for q^2, which it is on average; (n / T)^2 would be too large by q (1 - q) / T.
    """
    expected = row_delay(np.minimum(counts / max(pushes, 1.0), 1.0), workers)
    if pushes < 2 or not counts.any():
        return expected
    pairs = float((counts * (counts - 1)).sum()) / (pushes - 1)
    return expected._replace(mean=(workers - 1) * pairs / float(counts.sum()))
