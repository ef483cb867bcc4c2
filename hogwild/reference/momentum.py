"""The oracle's momentum stages: each one's update of its buffers and of x, and its look-ahead point.

Each function takes the buffers, the part of them to update, the direction d there, a mask of the elements with a usable
gradient, the stage, and the push's scalars. It updates the stage's buffers and returns the step to subtract from x.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hogwild.reference import adaptive
from hogwild.reference.arrays import Array, Buffers, Flags
from hogwild.rules import (
    Adagrad,
    AdamW,
    AdamWDana,
    AdamWSlim,
    Dana,
    HeavyBall,
    Lion,
    Momentum,
    Nesterov,
    OrMo,
    PrimalAverage,
    RMSprop,
    Scalars,
    Smega2,
    Table,
)


def next_velocity(v: Array, d: Array, rule: HeavyBall | Nesterov, call: Scalars) -> Array:
    """v <- m v + (1 - dampening) d, undampened on a first step if the rule says so"""
    damp = 1.0 if call.get("first_step", False) and rule.torch_first_step else 1 - rule.dampening
    return rule.momentum * v + damp * d


def heavy_ball(at: Buffers, place: slice, d: Array, good: Flags, rule: HeavyBall, call: Scalars) -> Array:
    """v <- m v + (1 - dampening) d;  x <- x - lr v"""
    v = at["v"][place]
    v[:] = np.where(good, next_velocity(v, d, rule, call), v)
    return call["lr"] * v


def nesterov(at: Buffers, place: slice, d: Array, good: Flags, rule: Nesterov, call: Scalars) -> Array:
    """v' = m v + (1 - dampening) d;  x <- x - lr (d + m v' + lead (v' - v));  v <- v'"""
    v = at["v"][place]
    after = np.where(good, next_velocity(v, d, rule, call), v)
    step: Array = call["lr"] * (d + rule.momentum * after + rule.lead * (after - v))
    v[:] = after
    return step


def dana(at: Buffers, place: slice, d: Array, good: Flags, rule: Dana, call: Scalars) -> Array:
    """v' = m v + d;  x <- x - lr v';  v_sum <- v_sum + (v' - v)   [Hakimi et al. 2019]"""
    v = at["v"][place]
    after = np.where(good, rule.momentum * v + d, v)
    at["v_sum"][place] += after - v
    v[:] = after
    return call["lr"] * after


def table(at: Buffers, place: slice, d: Array, good: Flags, rule: Table, call: Scalars) -> Array:
    """v' = m v + (1 - m) d;  v_sum <- v_sum + (v' - v);  x <- x - lr v_sum / rows;  v <- v'"""
    v = at["v"][place]
    after = np.where(good, rule.momentum * v + (1 - rule.momentum) * d, v)
    at["v_sum"][place] += after - v
    v[:] = after
    step: Array = call["lr"] * at["v_sum"][place] / rule.rows
    return step


def primal_average(at: Buffers, place: slice, d: Array, good: Flags, rule: PrimalAverage, call: Scalars) -> Array:
    """z <- z - lr d;  x <- m x + (1 - m) z,  with v = x - z"""
    v, x = at["v"][place], at["x"][place]
    z = x - v - call["lr"] * d
    after = rule.momentum * x + (1 - rule.momentum) * z
    v[:] = np.where(good, after - z, v)
    return x - after


def smega2(at: Buffers, place: slice, d: Array, _good: Flags, rule: Smega2, call: Scalars) -> Array:
    """b <- b + d;  x <- x - lr (d + m v);  every N pushes v <- m v + b / N, b <- 0   [Cohen et al. 2022]"""
    v, b = at["v"][place], at["b"][place]
    step: Array = call["lr"] * (d + rule.momentum * v)
    b += d
    if (call["pushes"] + 1) % rule.workers == 0:
        v[:] = rule.momentum * v + b / rule.workers
        b[:] = 0
    return step


def ormo(at: Buffers, place: slice, d: Array, _good: Flags, rule: OrMo, call: Scalars) -> Array:
    """x <- x - m u, u <- m u as a bucket begins;  u <- u + m^l lr d;  x <- x - (1 - m^(l+1)) / (1 - m) lr d"""
    u, m, pushes, lr = at["v"][place], rule.momentum, call["pushes"], call["lr"]
    bucket = pushes // rule.workers
    late = bucket - max(0, pushes - call.get("delay", 0)) // rule.workers
    drained: Array = np.zeros_like(u)
    if pushes > 0 and pushes % rule.workers == 0:
        drained = m * u
        u[:] = drained
    u += m**late * lr * d
    return drained + (1 - m ** (late + 1)) / (1 - m) * lr * d


STEPS: dict[type, Callable[[Buffers, slice, Array, Flags, Any, Scalars], Array]] = {
    HeavyBall: heavy_ball,
    Nesterov: nesterov,
    Dana: dana,
    Table: table,
    PrimalAverage: primal_average,
    Smega2: smega2,
    OrMo: ormo,
    AdamW: adaptive.adamw,
    AdamWSlim: adaptive.adamw,
    AdamWDana: adaptive.adamw,
    RMSprop: adaptive.rmsprop,
    Adagrad: adaptive.adagrad,
    Lion: adaptive.lion,
}


def ahead(at: Buffers, place: slice, rule: Momentum | None, call: Scalars) -> Array:
    """The look-ahead point of the rule after this push: its prediction of x"""
    x: Array = at["x"][place].copy()
    lr, pushes = call["lr"], call["pushes"] + 1
    if isinstance(rule, Dana):
        x -= lr * rule.momentum * at["v_sum"][place]
    if isinstance(rule, PrimalAverage):
        x -= (1 - rule.interpolation) * at["v"][place]
    if isinstance(rule, Smega2):
        m, n, c = rule.momentum, rule.workers, pushes % rule.workers if rule.advanced else 0
        x -= lr * m * ((n + c * (m - 1)) * at["v"][place] + c / n * at["b"][place])
    if isinstance(rule, AdamWDana):
        x -= adaptive.adamw_ahead(at, place, rule, call)
    return x
