"""Stability of round-robin EASGD and EAMSGD near a minimum, for any number of workers, period and exchange.

p workers in turn; each takes `period` local steps and one exchange per turn. Along one eigen-direction (curvature h,
k = curvature x lr) a worker is y = (x, v), a local step is y <- L y and the exchange with the center c is symmetric:

    L = [[1 - k, m (1 - k)], [-k, m (1 - k)]]          v <- m v - k (x + m v);   x <- x + v
    d = alpha (x - c);   x <- x - d;   c <- c + d

Over one turn y changes by T = L^period, and the move -d of the exchange by S. The step next to the exchange takes its
gradient

    paper   at the x before the exchange moves it (EASGD algorithm 1)                  S = L^(period - 1)
    post    first; the exchange then moves the x after that step                       S = L^period = T

In an eigenmode one cycle multiplies every variable by Z, every worker's turn multiplies c by the same z, and Z = z^p.
Eliminating y leaves a polynomial of z that is linear in alpha, with chi(Z) = det(Z - T):

    P(z) = (z - 1) chi(z^p) + alpha [chi(z^p) + (z - 1) ((z^p - T_22) S_11 + T_12 S_21)]

The run is stable if and only if all its roots lie inside the unit circle; hogwild/theory/crossing.py then gives the
critical alpha exactly. For m = 0, q = (1 - k)^period and s = S_11 an odd p has the root z = -1 at the alpha of
`safe_alpha`, 2 (1 + q) / (1 + q + 2 s). At period 1 that is (4 - 2 k) / (4 - k), the condition of the paper. It is
therefore necessary for odd p only.

Source: algorithms 1 and 2 of Zhang, Choromanska and LeCun 2015 (arXiv:1412.6651); its condition for period 1.
Derived here: the polynomial, every period above 1, the exchange `post`, momentum, and that even p allow a larger alpha.
"""

from __future__ import annotations

import numpy as np
from numpy.polynomial import polynomial

from hogwild.theory import EXCHANGES
from hogwild.theory.crossing import first_crossing
from hogwild.theory.loop import Polynomial


def critical_alpha(workers: int, k: float, period: int = 1, momentum: float = 0.0, exchange: str = "paper") -> float:
    """The alpha > 0 up to which round-robin EASGD is stable; inf if every alpha is.

    Source and derivation: module docstring. Raises ValueError for values out of range.

    >>> round(critical_alpha(workers=4, k=0.1), 4)
    0.9768
    """
    return first_crossing(*_halves(workers, k, period, momentum, exchange))


def radius(
    workers: int, k: float, alpha: float, period: int = 1, momentum: float = 0.0, exchange: str = "paper"
) -> float:
    """The factor by which the slowest mode changes per cycle: `period` steps and one exchange of every worker.

    Source and errors as for `critical_alpha`.
    """
    memory, feedback = _halves(workers, k, period, momentum, exchange)
    opened = polynomial.polymul([1.0, -1.0], memory)
    closed = np.trim_zeros(np.asarray(polynomial.polyadd(opened, alpha * feedback)), "b")
    return float(np.abs(np.roots(closed)).max(initial=0.0)) ** workers


def safe_alpha(k: float, period: int = 1, exchange: str = "paper") -> float:
    """Without momentum, the alpha below which every number of workers is stable: critical_alpha of odd numbers.

    2 (1 + q) / (1 + q + 2 s) with q = (1 - k)^period, s = (1 - k)^(period - 1) for exchange paper and q for post.

    Source:  (4 - 2 k) / (4 - k) at period 1, Zhang et al. 2015; derived here for the rest.
    Raises:  ValueError unless 0 < k <= 1 (k < 2 for exchange paper at period 1): beyond, s may be negative.
    """
    _check(1, k, period, 0.0, exchange)
    is_first = exchange == "paper" and period == 1
    if not (k <= 1 or is_first):
        raise ValueError(f"curvature x lr is {k:g}: the bound for all numbers of workers is known up to 1 only")
    q = (1 - k) ** period
    return 2 * (1 + q) / (1 + q + 2 * (1 - k) ** (period - 1 if exchange == "paper" else period))


def concurrent_alpha(workers: int, k: float) -> float:
    """Critical alpha at period 1 if all workers read the center before any writes it: (4 - 2 k) / (2 (p + 1) - p k).

    That is the synchronous run, and the worst case of a lock-free race in the asynchronous one. Derived here.
    """
    _check(workers, k, 1, 0.0, "paper")
    return (4 - 2 * k) / (2 * (workers + 1) - workers * k)


def _halves(workers: int, k: float, period: int, momentum: float, exchange: str) -> tuple[Polynomial, Polynomial]:
    """chi and the bracket of P in ascending powers of u = 1/z, as first_crossing takes them."""
    _check(workers, k, period, momentum, exchange)
    local = np.array([[1 - k, momentum * (1 - k)], [-k, momentum * (1 - k)]])
    s = np.linalg.matrix_power(local, period - 1 if exchange == "paper" else period)
    t = np.linalg.matrix_power(local, period)
    memory, pulled = np.zeros(2 * workers + 1), np.zeros(2 * workers + 1)
    memory[[0, workers, 2 * workers]] = 1.0, -np.trace(t), (momentum * (1 - k)) ** period
    pulled[[workers, 2 * workers]] = s[0, 0], t[0, 1] * s[1, 0] - t[1, 1] * s[0, 0]
    feedback = polynomial.polyadd(polynomial.polymul([0.0, 1.0], memory), polynomial.polymul([1.0, -1.0], pulled))
    return memory, np.asarray(feedback)


def _check(workers: int, k: float, period: int, momentum: float, exchange: str) -> None:
    if exchange not in EXCHANGES:
        raise ValueError(f"exchange {exchange!r} is none of {', '.join(EXCHANGES)}")
    if workers < 1 or period < 1:
        raise ValueError(f"{workers} workers with period {period}: both must be at least 1")
    if not 0.0 <= momentum < 1.0:
        raise ValueError(f"momentum {momentum:g} is not in [0, 1)")
    edge = 2 * (1 + momentum) / (1 + 2 * momentum)
    if not 0.0 < k < edge:
        raise ValueError(f"curvature x lr is {k:g}; a worker alone is stable from 0 to {edge:g}")
