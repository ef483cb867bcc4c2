"""The NumPy oracle: the push and the average once more, plainly, in float64. The only deliberate second copy.

Same stage names and the same slot order as csrc/push.h; no vectors, no accumulators, no memory model. Tests and bench
compare the kernels with it; nothing else uses it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hogwild.rules import Gap, Guard, Momentum, Nesterov

Array = npt.NDArray[np.float64]


@dataclass
class Buffers:
    """Flat float64 buffers [n], changed in place; None where the rule needs none."""

    x: Array
    snapshot: Array | None = None
    v: Array | None = None
    s: Array | None = None


@dataclass(frozen=True)
class PushStats:
    applied: bool
    nonfinite: int
    gap_sq: float
    step_sq: float


def weight_decay_term(x: Array, weight_decay: float) -> Array:
    """wd x"""
    return weight_decay * x


def no_penalty(g: Array, decay: Array) -> Array:
    """d = g + wd x"""
    return g + decay


def running_square(s: Array, u: Array, rule: Gap) -> Array:
    """s <- Gamma s + (1 - Gamma) u^2"""
    return rule.decay * s + (1 - rule.decay) * u**2


def gap_penalty(g: Array, decay: Array, gap: Array, s: Array, rule: Gap, *, t: int, lr_max: float) -> Array:
    """d = g / G + wd x / G,  G = 1 + |gap| / C,  C = lr_max (sqrt(s / (1 - Gamma^t)) + eps)   [Barkai et al. 2020]

    G is 1 on the first push, while lr_max is 0, and where s is 0.
    """
    if t == 1 or lr_max <= 0:
        return g + decay
    c = lr_max * (np.sqrt(s / (1 - rule.decay**t)) + rule.eps)
    penalty = np.where(s == 0, 1.0, 1 + np.abs(gap) / c)
    return g / penalty + (decay / penalty if rule.penalize_weight_decay else decay)


def next_velocity(v: Array, d: Array, rule: Momentum, *, first_step: bool) -> Array:
    """v <- m v + (1 - dampening) d, undampened on a first step if the rule says so"""
    damp = 1.0 if first_step and rule.torch_first_step else 1 - rule.dampening
    return rule.momentum * v + damp * d


def direction(d: Array, v: Array, rule: Momentum) -> Array:
    """v, or d + m v for Nesterov"""
    return d + rule.momentum * v if isinstance(rule, Nesterov) else v


def push(
    buffers: Buffers,
    segments: Sequence[tuple[int, int]],
    grads: Sequence[Array | None],
    *,
    lr: float,
    pushes: int,
    lr_max: float,
    weight_decay: float = 0.0,
    first_step: bool = False,
    penalty: Gap | None = None,
    momentum: Momentum | None = None,
    guard: Guard = Guard.PUSH,
    start: int = 0,
    stop: int | None = None,
) -> PushStats:
    """decay -> penalty -> momentum -> apply -> observe -> look-ahead, segment by segment. Mutates `buffers`."""
    stop = buffers.x.size if stop is None else stop
    pieces = []
    for (offset, numel), g in zip(segments, grads, strict=True):
        begin, end = max(offset, start), min(offset + numel, stop)
        if begin < end:
            pieces.append((slice(begin, end), None if g is None else g.reshape(-1)[begin - offset : end - offset]))
    nonfinite = sum(int(np.sum(~np.isfinite(g))) for _, g in pieces if g is not None)
    if nonfinite and guard is Guard.PUSH:
        return PushStats(False, nonfinite, 0.0, 0.0)

    gap_sq = step_sq = 0.0
    for place, g in pieces:
        x = buffers.x[place]  # a view: what follows writes through it
        gap = np.zeros_like(x) if buffers.snapshot is None else x - buffers.snapshot[place]
        gap_sq += float(np.sum(gap**2))
        if g is not None:
            good = np.isfinite(g)
            g = np.where(good, g, 0.0)
            decay = weight_decay_term(x, weight_decay)
            if penalty is None:
                d = no_penalty(g, decay)
            else:
                assert buffers.s is not None
                u = g if buffers.v is None else buffers.v[place]
                s = np.where(good, running_square(buffers.s[place], u, penalty), buffers.s[place])
                buffers.s[place] = s
                d = gap_penalty(g, decay, gap, s, penalty, t=pushes + 1, lr_max=lr_max)
            way = d
            if momentum is not None:
                assert buffers.v is not None
                before = buffers.v[place]
                v = np.where(good, next_velocity(before, d, momentum, first_step=first_step), before)
                buffers.v[place] = v
                way = direction(d, v, momentum)
            step = np.where(good, lr * way, 0.0)
            x -= step
            step_sq += float(np.sum(step**2))
        if buffers.snapshot is not None:
            buffers.snapshot[place] = x
    return PushStats(True, nonfinite, gap_sq, step_sq)


def weighted_sum(inputs: Sequence[Array], weights: Sequence[float]) -> Array:
    """sum_j w_j in_j"""
    out = np.zeros_like(inputs[0])
    for weight, value in zip(weights, inputs, strict=True):
        out += weight * value
    return out
