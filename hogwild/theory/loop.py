"""An update rule under delay as a linear feedback loop, near a minimum and along one eigen-direction of the Hessian.

Near a minimum the expected gradient is a x (a: the curvature), so every rule here is linear. Each is described by
polynomials in the one-update delay operator u (u x_t = x_{t-1}), stored as coefficients in ascending powers of u. With
the delay law phi(u) = sum_j p_j u^j, momentum m, c = 1 - dampening and k = curvature x lr:

    rule       update (g: the delayed gradient)                        Q             X          Y
    none       x' = x - lr g                                           1             u          u
    standard   v' = m v + c g;          x' = x - lr v'                 1 - m u       c u        c u
    nesterov   v' = m v + c g;          x' = x - lr (c g + m v')       1 - m u       c u (Q+m)  c u (Q+m)
    shifted    v' = m v_{t-tau} + c g;  x' = x - lr v'                 1 - m u phi   c u        c u
    dana       as shifted, but g at x - lr m sum_i v_i                 1 - m u phi   c u        c u (Q+m)
    table      x' = x - (lr/n) (g and the n - 1 gradients before it)   1             u          u (1+u+...)/n

n is the number of workers in turn, one more than the mean delay. With a look-ahead by another factor l than m,
x' = x - lr (v' + l (v' - v)), nesterov and dana (which is dana-slim then) have X = Y = c u (1 + l (1 - u phi)), for
nesterov without the phi. Q + m is that for l = m.

    P(u) = (1 - u) Q + k (phi Y + r X),     r = weight decay / curvature, undelayed

Q (memory) is the recursion of the momentum. X (to_x) and Y (to_gradient) are the effect of a unit pulse of gradient on
the master x, and on the point at which a fresh snapshot takes its gradient. The loop is stable if and only if every
root z = 1/u of P lies inside the unit circle.

Source: for constant delay P is eq. 5 (none), 25 (standard) and 11 (shifted) of Giladi et al. 2020 (arXiv:1909.12340),
and eq. 19 for `none` with random delay, up to a power of u. The equation numbers come from its figure captions, the
polynomials from the update rules in the authors' code, because the text of the paper was not available.
Derived here: nesterov, dana, table and l, every momentum with random delay, and the weight-decay term.
Deviates: under a random delay the delays of the updates are taken as independent of each other, and a worker's buffer
as the one that produced its snapshot (a worker pulls right after its own push). P then describes the expectation. For
nesterov c scales the gradient in both places.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.polynomial import polynomial
from numpy.typing import NDArray

from hogwild.theory import LOOPS, RULES

Delay = int | Mapping[int, float]
"""A constant delay, or a law: delay -> probability."""

Polynomial = NDArray[np.float64]
"""[degree + 1] coefficients in ascending powers of u: descending powers of z = 1/u."""


@dataclass(frozen=True)
class Loop:
    """The polynomials of one rule under one delay law; they depend on neither k nor the weight decay."""

    phi: Polynomial
    memory: Polynomial
    to_x: Polynomial
    to_gradient: Polynomial

    @classmethod
    def of(
        cls, rule: str, delay: Delay, momentum: float = 0.0, dampening: float = 0.0, ahead: float | None = None
    ) -> Loop:
        """`ahead`: the factor l; None: m. Raises ValueError for an unknown rule, a value out of range, or a law that
        does not sum to 1.
        """
        check_rule(rule, momentum, dampening, LOOPS)
        if ahead is not None and rule not in ("nesterov", "dana"):
            raise ValueError(f"rule {rule} does not look ahead ({ahead:g}): choose nesterov or dana")
        phi = law(delay)
        gradient = np.array([0.0, 1.0 - dampening])
        age = phi if rule in ("shifted", "dana") else np.ones(1)
        remembered = momentum * polynomial.polymul([0.0, 1.0], age)
        memory = polynomial.polysub([1.0], remembered)
        factor = momentum if ahead is None else ahead
        change = polynomial.polysub([1.0], polynomial.polymul([0.0, 1.0], age))
        look_ahead = polynomial.polymul(gradient, polynomial.polyadd([1.0], factor * change))
        rows = round(float(phi @ np.arange(len(phi)))) + 1
        pushed = np.concatenate([[0.0], np.full(rows, 1 / rows)]) if rule == "table" else gradient
        return cls(
            phi=phi,
            memory=memory,
            to_x=look_ahead if rule == "nesterov" or ahead is not None else gradient,
            to_gradient=look_ahead if rule in ("nesterov", "dana") else pushed,
        )

    def feedback(self, weight_decay: float) -> Polynomial:
        """phi Y + r X: the factor of k in P."""
        check_weight_decay(weight_decay)
        delayed = polynomial.polymul(self.phi, self.to_gradient)
        return np.asarray(polynomial.polyadd(delayed, weight_decay * self.to_x))

    def closed(self, k: float, weight_decay: float = 0.0) -> Polynomial:
        """P(u), the characteristic polynomial."""
        opened = polynomial.polymul([1.0, -1.0], self.memory)
        return np.asarray(polynomial.polyadd(opened, k * self.feedback(weight_decay)))


def law(delay: Delay) -> Polynomial:
    """phi: the probabilities of the delays 0, 1, ..., largest. Raises ValueError if they are not probabilities."""
    if isinstance(delay, Mapping):
        return _probabilities(delay)
    if delay < 0:
        raise ValueError(f"delay {delay} is negative")
    return _probabilities({delay: 1.0})


def mean(delay: Delay) -> float:
    """E tau."""
    phi = law(delay)
    return float(phi @ np.arange(len(phi)))


def is_random(delay: Delay) -> bool:
    """Whether the law has more than one delay."""
    return int(np.count_nonzero(law(delay))) > 1


def check_rule(rule: str, momentum: float, dampening: float, known: Sequence[str] = RULES) -> None:
    """Raises ValueError naming the value that is not allowed."""
    if rule not in known:
        raise ValueError(f"rule {rule!r} is none of {', '.join(known)}")
    if not 0.0 <= momentum < 1.0:
        raise ValueError(f"momentum {momentum:g} is not in [0, 1)")
    if not 0.0 <= dampening < 1.0:
        raise ValueError(f"dampening {dampening:g} is not in [0, 1)")
    if rule in ("none", "table") and (momentum or dampening):
        raise ValueError(
            f"rule {rule} has no momentum ({momentum:g}) and no dampening ({dampening:g}): choose another rule"
        )


def check_weight_decay(weight_decay: float) -> None:
    """Raises ValueError unless the ratio weight decay / curvature is >= 0."""
    if not 0.0 <= weight_decay < float("inf"):
        raise ValueError(f"weight decay / curvature is {weight_decay:g}; it must be >= 0")


def _probabilities(delay: Mapping[int, float]) -> Polynomial:
    if not delay or min(delay) < 0 or any(j != int(j) for j in delay):
        raise ValueError(f"delays must be integers >= 0, at least one; these are {sorted(delay)[:8]}")
    total = sum(delay.values())
    if not (min(delay.values()) >= 0.0 and abs(total - 1.0) < 1e-6):
        raise ValueError(f"the probabilities of the delays must be >= 0 and sum to 1; they sum to {total:g}")
    phi = np.zeros(int(max(delay)) + 1)
    for j, probability in delay.items():
        phi[int(j)] = probability / total
    return phi
