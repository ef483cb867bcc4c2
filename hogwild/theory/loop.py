"""An update rule under delay as a linear feedback loop, near a minimum and along one eigen-direction of the Hessian.

There the expected gradient is a x (a: the curvature), so every rule here is linear. Everything is a polynomial in the
one-update delay operator u (u x_t = x_{t-1}), held as coefficients in ascending powers of u. With the delay law
phi(u) = sum_j p_j u^j, momentum m, c = 1 - dampening and k = curvature x lr:

    rule       v and x                                                  memory Q     to_x X          to_gradient Y
    none       x' = x - lr g                                            1            u               u
    standard   v' = m v + c g;          x' = x - lr v'                  1 - m u      c u             c u
    nesterov   v' = m v + c g;          x' = x - lr (c g + m v')        1 - m u      c u (1+m - mu)  c u (1+m - mu)
    shifted    v' = m v_{t-tau} + c g;  x' = x - lr v'                  1 - m u phi  c u             c u
    dana       v, x as shifted; g is taken at x - lr m sum_i v_i        1 - m u phi  c u             c u (1+m - mu phi)

    P(u) = (1 - u) Q + k (phi Y + r X),     r = weight decay / curvature, undelayed

X and Y say where a unit gradient pulse goes: to the master x, and to the point where a fresh snapshot takes its
gradient. The loop is stable if and only if every root z = 1/u of P lies inside the unit circle.

Source: for constant delay P is eq. 5 (none), 25 (standard) and 11 (shifted) of Giladi et al. 2020 (arXiv:1909.12340),
and for `none` with random delay its eq. 19, multiplied by a power of u; the equation numbers are those of its figure
captions.
Derived here: nesterov and dana; all momentum with random delay; the weight-decay term.
Deviates: under random delay the delays are drawn independently for each update, and a worker's buffer v_i is the one
that produced its snapshot (it pulls right after its own push); P then rules the expectation. For nesterov the factor c
scales all of the gradient's effect.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RULES = ("none", "standard", "shifted", "nesterov", "dana")

Delay = int | Mapping[int, float]
"""A constant delay, or a law: delay -> probability."""

Polynomial = NDArray[np.float64]
"""Coefficients in ascending powers of u, which are descending powers of z = 1/u."""


@dataclass(frozen=True)
class Loop:
    """The polynomials of one rule under one delay law; independent of k and of the weight decay."""

    memory: Polynomial
    to_x: Polynomial
    to_gradient: Polynomial
    phi: Polynomial
    momentum: float

    @classmethod
    def of(cls, rule: str, delay: Delay, momentum: float = 0.0, dampening: float = 0.0) -> Loop:
        """The loop of a rule. ValueError for an unknown rule or a value out of range."""
        check_rule(rule, momentum, dampening)
        phi = delay_polynomial(delay)
        m, c, u = momentum, 1.0 - dampening, np.array([0.0, 1.0])
        remembered = np.polymul(u[::-1], phi[::-1])[::-1] if rule in ("shifted", "dana") else u
        memory = np.zeros(len(remembered) + 1)
        raise NotImplementedError
