"""First moment: the characteristic polynomial of a rule, the modulus of its largest root, and the k that makes it 1."""

from __future__ import annotations

import numpy as np

from hogwild.theory.crossing import first_crossing
from hogwild.theory.loop import Delay, Loop, Polynomial


def threshold(
    rule: str,
    delay: Delay,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    ahead: float | None = None,
) -> float:
    """Largest k = curvature x lr below which the expected trajectory converges: the first root on the unit circle.

    `weight_decay` is the ratio weight decay / curvature; it acts on the current weights, undelayed. `ahead`: the factor
    of the look-ahead of nesterov and dana, in place of the momentum.

    Source:   eq. 5, 11, 19 and 25 of Giladi et al. 2020 (arXiv:1909.12340) and, derived here, the rest of the table in
              hogwild/theory/loop.py, solved by hogwild/theory/crossing.py to about 1e-12.
    Raises:   ValueError for an unknown rule or a value out of range.

    >>> round(threshold("none", 4), 4)
    0.3473
    >>> round(threshold("standard", {0: 0.5, 8: 0.5}, momentum=0.9), 4)  # half of the gradients are 8 updates old
    0.0322
    """
    loop = Loop.of(rule, delay, momentum, dampening, ahead)
    return first_crossing(loop.memory, loop.feedback(weight_decay))


def radius(
    rule: str, delay: Delay, k: float, momentum: float = 0.0, dampening: float = 0.0, weight_decay: float = 0.0
) -> float:
    """Modulus of the largest root: the factor by which |E x| changes per update in the long run.

    Source and errors as for `threshold`; all roots are computed, the degree is about the largest delay (twice that
    for dana).
    """
    polynomial = np.trim_zeros(characteristic(rule, delay, k, momentum, dampening, weight_decay), "b")
    return float(np.abs(np.roots(polynomial)).max(initial=0.0))


def characteristic(
    rule: str, delay: Delay, k: float, momentum: float = 0.0, dampening: float = 0.0, weight_decay: float = 0.0
) -> Polynomial:
    """The polynomial in z, highest power first, as numpy.roots takes it. Source and errors as for `threshold`."""
    return Loop.of(rule, delay, momentum, dampening).closed(k, weight_decay)
