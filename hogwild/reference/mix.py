"""The oracle of averages and exchanges, named as in csrc/mix.h. All but `weighted_sum` mutate their arrays [n]."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def elastic(x: Array, center: Array, *, alpha: float) -> None:
    """d = alpha (x - c);  x <- x - d;  c <- c + d   [Zhang, Choromanska, LeCun 2015, Algorithm 1]"""
    d = alpha * (x - center)
    x -= d
    center += d


def deliver(x: Array, center: Array, base: Array) -> None:
    """c <- c + (x - base);  x <- base <- c   [Dean et al. 2012]"""
    center += x - base
    x[:] = base[:] = center


def admm(x: Array, center: Array, multiplier: Array, g: Array, *, lr: float, rho: float, workers: int) -> None:
    """A worker's turn   [Zhang, Choromanska, LeCun 2015, eqs. 8-11; the center in increments]"""
    multiplier -= x - center
    x[:] = (x - lr * g + lr * rho * (multiplier + center)) / (1 + lr * rho)
    center += (x - center) / workers


def send(x: Array, box: Array, *, share: float) -> None:
    """box <- box + a x;  x <- x - a x"""
    sent = share * x
    box += sent
    x -= sent


def drain(x: Array, box: Array) -> None:
    """x <- x + box;  box <- 0"""
    x += box
    box[:] = 0


def blend(x: Array, average: Array, *, a: float) -> None:
    """z <- z + a (x - z)"""
    average += a * (x - average)


def diffuse(
    out: Array,
    own: Array,
    neighbours: Sequence[Array],
    weights: Sequence[float],
    correction: Array | None = None,
) -> None:
    """out <- own + sum_j w_j (n_j - own), and the same sum added to the correction"""
    flux = np.zeros_like(own)
    for weight, neighbour in zip(weights, neighbours, strict=True):
        flux += weight * (neighbour - own)
    out[:] = own + flux
    if correction is not None:
        correction += flux


def weighted_sum(inputs: Sequence[Array], weights: Sequence[float]) -> Array:
    """sum_j w_j in_j"""
    out = np.zeros_like(inputs[0])
    for weight, value in zip(weights, inputs, strict=True):
        out += weight * value
    return out
