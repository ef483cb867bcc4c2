"""Round-robin DOWNPOUR near a minimum: it equals plain SGD with a delay of p - 1 pushes.

p workers in turn, k = curvature x lr. A worker that pulled y takes `period` steps, y -> (1 - k)^period y, and pushes
the difference, so the center follows

    c_t = c_{t-1} - K c_{t-p},       K = 1 - (1 - k)^period

which is rule `none` of hogwild/theory/loop.py at delay p - 1 and gain K: stable if and only if
K < 2 sin(pi / (4 p - 2)). For long periods K tends to 1 at every learning rate, so DOWNPOUR with 3 or more workers
diverges; EASGD stays stable.

Source: the algorithm is DOWNPOUR of Dean et al. 2012 as in Zhang et al. 2015 (arXiv:1412.6651); derived here.
"""

from __future__ import annotations

import math

from hogwild.theory import closed_forms, spectrum


def critical_k(workers: int, period: int = 1) -> float:
    """The curvature x lr at which round-robin DOWNPOUR first reaches the edge of stability.

    1 - (1 - g)^(1 / period) with g = 2 sin(pi / (4 p - 2)). For one worker it is 2. For two workers g = 1, and it is 1;
    with an even period K touches the edge there without crossing it. Raises ValueError for workers or period below 1.
    """
    _check(workers, period)
    gain = closed_forms.constant_delay("none", workers - 1)
    short = 1 - gain
    if abs(short) < 1e-12:
        return 1.0
    return 1 - math.copysign(abs(short) ** (1 / period), short)


def radius(workers: int, k: float, period: int = 1) -> float:
    """The factor by which the center changes per cycle: `period` steps and one push of every worker.

    Raises ValueError for workers or period below 1.
    """
    _check(workers, period)
    return spectrum.radius("none", workers - 1, 1 - (1 - k) ** period) ** workers


def _check(workers: int, period: int) -> None:
    if workers < 1 or period < 1:
        raise ValueError(f"{workers} workers with period {period}: both must be at least 1")
