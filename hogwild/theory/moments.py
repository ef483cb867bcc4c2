"""Second moments: with noise a run can diverge although its expectation converges.

The results are exact for every rule of hogwild/theory/loop.py. A fresh gradient is (1 + noise) a x of the snapshot: q
is the variance of the minibatch curvature over a^2 (about 1/batch). A random delay adds a random choice of snapshot.
Both act as white noise with a variance that is linear in the second moments so far. The noise of one update therefore
returns, summed over all later updates, times

    K = ||E||^2 - ||phi E||^2 + q ||k Y / P||^2,      ||H||^2 = sum_t h_t^2 of the impulse response of H,

where E is the response of the value that is read with a random delay: k Y / P, and for a private buffer (shifted) the
sum m v + c k x that a worker holds, (m (1 - u) - c k) u / P. The second moment is stable if and only if the mean is
stable and K < 1. Additive gradient noise of variance s^2 then gives Var x = lr^2 s^2 ||X / P||^2 / (1 - K).

Derived here; for `none` with constant delay it equals the closed form in hogwild/theory/closed_forms.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.polynomial import polynomial
from numpy.typing import NDArray

from hogwild.theory.crossing import first_crossing
from hogwild.theory.loop import Delay, Loop, Polynomial, is_random

STRIDE = 1.2
START = 1e-6
HALVINGS = 48


def mean_square_threshold(
    rule: str,
    delay: Delay,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    *,
    noise: float = 0.0,
) -> float:
    """Largest stable k = curvature x lr in mean square, under minibatch noise q and independent random delays.

    For a constant delay without noise it is the first-moment threshold. Source: derived here (module docstring).

    Raises:   ValueError for values out of range, for dana with a random delay (see random_order_threshold), and for
              table with a random delay or noise.
    """
    check_noise(noise)
    loop = Loop.of(rule, delay, momentum, dampening)
    edge = first_crossing(loop.memory, loop.feedback(weight_decay))
    if noise == 0.0 and not is_random(delay):
        return edge
    _check_known(rule, delay)

    def is_stable(k: float) -> bool:
        return _returned(loop, rule, momentum, k, noise, weight_decay)[0] < 1.0

    return first_failure(is_stable, START * edge / (1.0 + noise), edge)


def stationary_variance(
    rule: str,
    delay: Delay,
    k: float,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    *,
    noise: float = 0.0,
) -> float:
    """Var x / (lr^2 s^2) in the steady state under additive gradient noise of variance s^2; inf above the threshold.

    ||X / P||^2 / (1 - K), derived here. Raises ValueError as mean_square_threshold does.
    """
    check_noise(noise)
    loop = Loop.of(rule, delay, momentum, dampening)
    _check_known(rule, delay)
    returned, spread = _returned(loop, rule, momentum, k, noise, weight_decay)
    return spread / (1.0 - returned) if returned < 1.0 else math.inf


def first_failure(is_stable: Callable[[float], bool], start: float, stop: float) -> float:
    """The smallest k in (start, stop] at which `is_stable` ends, by steps of STRIDE and bisection; stop if none is."""
    lower = start
    while (upper := min(lower * STRIDE, stop)) < stop and is_stable(upper):
        lower = upper
    for _ in range(HALVINGS):
        middle = (lower + upper) / 2
        lower, upper = (middle, upper) if is_stable(middle) else (lower, middle)
    return (lower + upper) / 2


def squared_norms(numerators: Sequence[Polynomial], denominator: Polynomial) -> NDArray[np.float64]:
    """sum_t h_t^2 of each numerator / denominator; inf unless all roots z = 1/u of the denominator lie in the circle.

    The recursion of Astrom, Introduction to Stochastic Control Theory (1970), chapter 5, from memory. It lowers the
    degree by one at a time, in n^2 operations, and reaches a leading coefficient <= 0 exactly if the denominator is
    unstable.
    """
    degree = max(map(len, (denominator, *numerators)))
    a = np.pad(denominator, (0, degree - len(denominator)))
    b = np.stack([np.pad(numerator, (0, degree - len(numerator))) for numerator in numerators])
    total = np.zeros(len(numerators))
    for _ in range(degree):
        if a[0] <= 0.0:
            return np.full(len(numerators), math.inf)
        total += b[:, -1] ** 2 / a[0]
        turned = a[::-1] / a[0]
        a, b = (a - a[-1] * turned)[:-1], (b - b[:, -1:] * turned)[:, :-1]
    return np.asarray(total / denominator[0])


def _returned(
    loop: Loop, rule: str, momentum: float, k: float, noise: float, weight_decay: float
) -> tuple[float, float]:
    """(K, ||X / P||^2)."""
    read = held = np.asarray(k * loop.to_gradient)
    if rule == "shifted":
        held = np.asarray(polynomial.polysub([0.0, momentum, -momentum], read))
    responses: list[Polynomial] = [loop.to_x, read, held, np.asarray(polynomial.polymul(loop.phi, held))]
    to_x, to_read, to_held, to_drawn = squared_norms(responses, loop.closed(k, weight_decay))
    if math.isinf(to_x):
        return math.inf, math.inf
    drawn = to_held - to_drawn if np.count_nonzero(loop.phi) > 1 else 0.0
    return float(drawn + noise * to_read), float(to_x)


def check_noise(noise: float) -> None:
    if not 0.0 <= noise < math.inf:
        raise ValueError(f"noise q is {noise:g}; it must be >= 0")


def _check_known(rule: str, delay: Delay) -> None:
    if rule == "dana" and is_random(delay):
        raise ValueError("dana in mean square: known for constant delay and for random worker order only")
    if rule == "table":
        raise ValueError("table in mean square: known for constant delay without noise only")
