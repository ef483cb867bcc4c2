"""Learning rates for a delay: the stable ones, the fastest one, and the number of updates that an escape takes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hogwild.theory.loop import Delay, check_rule, is_random, mean
from hogwild.theory.moments import mean_square_threshold
from hogwild.theory.spectrum import radius, threshold

PLAIN_EDGE = 2.0  # plain SGD without delay is stable below 2 / curvature
SCAN = np.geomspace(1e-4, 1.0, 48, endpoint=False)
SECTIONS = 30
GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class LearningRate:
    """The learning rate of a synchronous run, converted for a run with delay in three ways.

    paper      lr_sync / E tau. Source: the practical rule of Giladi et al. 2020 (arXiv:1909.12340), figs. 1, 5 and 12,
               for the lr of a large-batch run. Below a mean delay of 1 it is lr_sync.
    exact      lr_sync threshold(run) / threshold(synchronous run): the same minima are stable in both runs. From plain
               SGD to `none` the factor is sin(pi / (2 (2 tau + 1))). Derived here.
    effective  lr_sync (1 - d_s) / (1 - m_s) threshold(run) / 2, with the synchronous run's momentum m_s and dampening
               d_s: as `exact`, from plain SGD at the same effective rate. It suits small batches, with which a run with
               momentum stays at the minima of plain SGD. Above an effective rate of 2 / curvature it gives no
               guarantee, unlike `exact`. Derived here.

    Without momentum in both runs `exact` and `effective` are the same.
    """

    sync: float
    delay_mean: float
    paper: float
    exact: float
    effective: float


@dataclass(frozen=True)
class Fastest:
    """The gain k = curvature x lr at which |E x| shrinks most per update, and the factor by which it does."""

    k: float
    rate: float


def edge(rule: str, delay: Delay, momentum: float = 0.0, dampening: float = 0.0) -> float:
    """The k = curvature x lr at which a single run leaves a minimum: the threshold in mean square.

    Under a constant delay it is `threshold`. Under a random delay the expectation of x converges also at rates at which
    every single run diverges. For dana and table under a random delay it is not known: a constant delay, the mean
    rounded up, is used instead.
    Raises ValueError for values out of range.

    >>> round(edge("none", 15), 4), round(edge("none", {5: 0.5, 25: 0.5}), 4)
    (0.1013, 0.167)
    """
    known: Delay = math.ceil(round(mean(delay), 6)) if rule in ("dana", "table") else delay
    return mean_square_threshold(rule, known, momentum, dampening)


def learning_rate(
    lr_sync: float,
    delay: Delay,
    momentum: float = 0.0,
    dampening: float = 0.0,
    rule: str = "none",
    *,
    sync_momentum: float | None = None,
    sync_dampening: float | None = None,
) -> LearningRate:
    """The learning rate of a run with delay, from that of a synchronous run.

    The synchronous run had `sync_momentum` and `sync_dampening` (default: those of this run) and the same kind of
    momentum, or heavy ball if this run has none.

    `exact` and `effective` scale by the `edge`.

    Deviates: under a random delay, the paper's 1/tau uses the mean of tau.
    Raises:   ValueError for values out of range.
    """
    if not 0.0 < lr_sync < math.inf:
        raise ValueError(f"the synchronous learning rate is {lr_sync:g}; it must be > 0")
    m = momentum if sync_momentum is None else sync_momentum
    d = dampening if sync_dampening is None else sync_dampening
    here = edge(rule, delay, momentum, dampening)
    return LearningRate(
        sync=lr_sync,
        delay_mean=mean(delay),
        paper=lr_sync / max(mean(delay), 1.0),
        exact=lr_sync * here / threshold("standard" if rule in ("none", "table") else rule, 0, m, d),
        effective=lr_sync * (1 - d) / (1 - m) * here / PLAIN_EDGE,
    )


def fastest(rule: str, delay: Delay, momentum: float = 0.0, dampening: float = 0.0) -> Fastest:
    """The fastest k, by a scan of the stable range and golden section, to about 1e-6 in k.

    `none` with constant delay in closed form: k = tau^tau / (tau + 1)^(tau + 1), rate tau / (tau + 1). Derived here.
    Raises ValueError for values out of range.
    """
    if rule == "none" and not is_random(delay):
        check_rule(rule, momentum, dampening)
        tau = mean(delay)
        return Fastest(k=(tau / (tau + 1)) ** tau / (tau + 1), rate=tau / (tau + 1))

    def rate(logarithm: float) -> float:
        return radius(rule, delay, math.exp(logarithm), momentum, dampening)

    grid = np.log(threshold(rule, delay, momentum, dampening) * SCAN)
    best = int(np.argmin([rate(k) for k in grid[:-1]]))
    lower, upper = float(grid[max(best - 1, 0)]), float(grid[best + 1])
    for _ in range(SECTIONS):
        one, two = upper - GOLDEN * (upper - lower), lower + GOLDEN * (upper - lower)
        lower, upper = (lower, two) if rate(one) <= rate(two) else (one, upper)
    k = math.exp((lower + upper) / 2)
    return Fastest(k=k, rate=radius(rule, delay, k, momentum, dampening))


def escape_steps(
    rule: str,
    delay: Delay,
    k: float,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    *,
    growth: float = 1e4,
) -> float:
    """Updates until the loss next to a minimum has grown `growth`-fold: ln growth / (2 ln radius); inf if it does not.

    Just above the threshold it is many times the delay, so a run that is too short looks stable. Derived here for the
    long run; the transient of the first few delays is ignored. Raises ValueError for values out of range.
    """
    if not growth > 1.0:
        raise ValueError(f"growth {growth:g} is not > 1")
    per_update = radius(rule, delay, k, momentum, dampening, weight_decay)
    return math.log(growth) / (2 * math.log(per_update)) if per_update > 1.0 else math.inf
