"""The oracle's adaptive stages: each one's update of its buffers and its step, as in hogwild/reference/momentum.py.

Written from the published forms, with the bias corrections as divisions of the moments: the kernels fold them into lr
and eps.
"""

from __future__ import annotations

import numpy as np

from hogwild.adaptive import Adagrad, AdamW, AdamWDana, AdamWSlim, Lion, RMSprop
from hogwild.reference.arrays import Array, Buffers, Flags
from hogwild.rules import Scalars


def samples(buffer: str, call: Scalars) -> int:
    """The number of pushes into v or q, this one included"""
    own = call.get("v_pushes") if buffer == "v" else call.get("q_pushes")
    return (call["pushes"] if own is None else own) + 1


def second_moment(at: Buffers, place: slice, rule: AdamW, call: Scalars) -> Array:
    """sqrt(q / bc2) + eps"""
    root: Array = np.sqrt(at["q"][place] / (1 - rule.beta2 ** samples("q", call))) + rule.eps
    return root


def adamw(at: Buffers, place: slice, d: Array, good: Flags, rule: AdamW, call: Scalars) -> Array:
    """v <- b1 v + (1 - b1) d;  q <- b2 q + (1 - b2) d^2;  x <- x - lr (v / bc1) / (sqrt(q / bc2) + eps)

    dana-slim: (b1 v + (1 - b1) d) / bc1', the sum of its weights;  dana: v_sum <- v_sum + (v' - v)
    """
    v, q = at["v"][place], at["q"][place]
    after = np.where(good, rule.beta1 * v + (1 - rule.beta1) * d, v)
    if isinstance(rule, AdamWDana):
        at["v_sum"][place] += after - v
    v[:] = after
    q[:] = np.where(good, rule.beta2 * q + (1 - rule.beta2) * d**2, q)
    is_slim = isinstance(rule, AdamWSlim)
    along = rule.beta1 * v + (1 - rule.beta1) * d if is_slim else v
    weights = 1 - rule.beta1 ** (samples("v", call) + is_slim)
    return call["lr"] * (along / weights) / second_moment(at, place, rule, call)


def adamw_ahead(at: Buffers, place: slice, rule: AdamWDana, call: Scalars) -> Array:
    """lr b1 (v_sum / bc1) / (sqrt(q / bc2) + eps), which the look-ahead subtracts from x"""
    mean = at["v_sum"][place] / (1 - rule.beta1 ** samples("v", call))
    return call["lr"] * rule.beta1 * mean / second_moment(at, place, rule, call)


def rmsprop(at: Buffers, place: slice, d: Array, good: Flags, rule: RMSprop, call: Scalars) -> Array:
    """q <- a q + (1 - a) d^2;  x <- x - lr d / sqrt(q + eps), or lr d / (sqrt(q) + eps)"""
    q = at["q"][place]
    q[:] = np.where(good, rule.beta2 * q + (1 - rule.beta2) * d**2, q)
    return call["lr"] * d / (np.sqrt(q + rule.eps) if rule.eps_inside else np.sqrt(q) + rule.eps)


def adagrad(at: Buffers, place: slice, d: Array, good: Flags, rule: Adagrad, call: Scalars) -> Array:
    """q <- q + d^2;  x <- x - lr d / (sqrt(q) + eps)"""
    q = at["q"][place]
    q[:] = np.where(good, q + d**2, q)
    return call["lr"] * d / (np.sqrt(q) + rule.eps)


def lion(at: Buffers, place: slice, d: Array, good: Flags, rule: Lion, call: Scalars) -> Array:
    """c = b1 v + (1 - b1) d;  v <- b2 v + (1 - b2) d;  x <- x - lr sign(c)"""
    v = at["v"][place]
    c = rule.beta1 * v + (1 - rule.beta1) * d
    v[:] = np.where(good, rule.beta2 * v + (1 - rule.beta2) * d, v)
    return call["lr"] * np.sign(c)
