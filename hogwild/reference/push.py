"""The oracle of the push, with the stage names and the slot order of csrc/push.h."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hogwild.reference.arrays import Array, Buffers, Flags
from hogwild.reference.momentum import STEPS, ahead
from hogwild.rules import AdaptiveStage, Compensation, Gap, Guard, Momentum, Nesterov, Scalars, Table

if TYPE_CHECKING:
    from typing_extensions import Unpack


@dataclass(frozen=True)
class PushStats:
    applied: bool
    nonfinite: int
    gap_sq: float
    step_sq: float
    grad_norm: float = float("nan")
    penalty: float = 1.0


@dataclass
class Row:
    """A push's view of a row of gap_state: C and ||gap|| before the push, sums of squares over the row."""

    c: float = 0.0
    norm: float = 0.0
    gap_sq: float = 0.0
    size_sq: float = 0.0
    elements: int = 0


def clip_factor(scale: float, clip: float, norm: float) -> float:
    """scale min(1, clip / ||scale g||)"""
    return scale * min(1.0, clip / norm) if clip and norm else scale


def weight_decay_term(x: Array, weight_decay: float) -> Array:
    """wd x"""
    return weight_decay * x


def compensated(g: Array, gap: Array, strength: Array | float, rule: Compensation) -> Array:
    """g + lam g^2 gap, or with |g| in place of g^2   [Zheng et al. 2017]"""
    return g + strength * (g**2 if rule.power == 2 else np.abs(g)) * gap


def penalised(g: Array, decay: Array, penalty: Array | float, rule: Gap) -> Array:
    """d = g / G + wd x / G, or d = g / G + wd x"""
    return g / penalty + (decay / penalty if rule.penalize_weight_decay else decay)


def running_square(s: Array, u: Array, decay: float) -> Array:
    """s <- Gamma s + (1 - Gamma) u^2"""
    return decay * s + (1 - decay) * u**2


def gap_penalty(gap: Array, s: Array, rule: Gap, call: Scalars) -> Array:
    """G = 1 + |gap| / C,  C = r (sqrt(s / (1 - Gamma^t)) + eps)   [Barkai et al. 2020]

    r is lr_max or lr; for unit "step" it is 1, and the mean has t - 1 samples. G is 1 on the first push, while lr_max
    is 0, and where s is 0.
    """
    reference = call["lr"] if rule.reference == "lr" else call["lr_max"]
    if call["pushes"] == 0 or reference <= 0:
        return np.ones_like(gap)
    samples = call["pushes"] if rule.unit == "step" else call["pushes"] + 1
    c = (1.0 if rule.unit == "step" else reference) * (np.sqrt(s / (1 - rule.decay**samples)) + rule.eps)
    return np.where(s == 0, 1.0, 1 + np.abs(gap) / c)


def row_size(row: Array, rule: Gap, call: Scalars, *, has_v: bool) -> float:
    """C of a row of gap_state: r sqrt(mean ||u||^2 / (1 - Gamma^t)), + r eps under an element-wise G; 0 if there was no
    step

    The mean of v counts its first value, zero.
    """
    reference = 1.0 if rule.unit == "step" else call["lr"] if rule.reference == "lr" else call["lr_max"]
    mean_sq, weight = row[0], row[1]
    if mean_sq <= 0 or reference <= 0:
        return 0.0
    if rule.unit == "v" and has_v:
        weight = rule.decay * weight + 1 - rule.decay
    return float(reference * (np.sqrt(mean_sq / weight) + (rule.eps if rule.level == "element" else 0.0)))


def distance(at: Buffers, place: slice, rule: Momentum | None, call: Scalars) -> Array:
    """x - snapshot, or x - center; under Nesterov the worker is at x + lr m v   [Zhang et al. 2015, Alg. 2]"""
    x: Array = at["x"][place]
    if "center" in at:
        behind = call["lr"] * rule.momentum * at["v"][place] if isinstance(rule, Nesterov) else 0.0
        return x - at["center"][place] + behind
    return x - at["snapshot"][place] if "snapshot" in at else np.zeros_like(x)


def exchange(at: Buffers, place: slice, gap: Array, applied: Flags, call: Scalars) -> None:
    """d = alpha gap;  x <- x - d;  center <- center + d   [Zhang et al. 2015, Alg. 1]"""
    if "center" in at:
        drawn = np.where(applied, call.get("alpha", 0.0) * gap, 0.0)
        at["x"][place] -= drawn
        at["center"][place] += drawn


def push(
    buffers: Buffers,
    segments: Sequence[tuple[int, int]],
    grads: Sequence[Array | None],
    *,
    penalty: Gap | None = None,
    momentum: Momentum | None = None,
    compensation: Compensation | None = None,
    guard: Guard = Guard.PUSH,
    **call: Unpack[Scalars],
) -> PushStats:
    """decay -> compensation -> penalty -> momentum -> exchange -> apply -> observe -> look-ahead, segment by segment.

    Args:    buffers: by name as in csrc/lists.h, flat float64 [n], and gap_state [rows, 3].  call: rules.Scalars.
    Mutates: `buffers`.
    """
    scale, start, stop = call.get("scale", 1.0), call.get("start") or 0, call.get("stop")
    stop = buffers["x"].size if stop is None else stop
    flushes = momentum is not None and momentum.flushes
    pieces = []
    for row, ((offset, numel), g) in enumerate(zip(segments, grads, strict=True)):
        begin, end = max(offset, start), min(offset + numel, stop)
        if begin < end:
            g = np.zeros(numel) if g is None and flushes else g
            row = row if penalty is not None and penalty.rows == "layer" else 0
            pieces.append((row, slice(begin, end), None if g is None else g.reshape(-1)[begin - offset : end - offset]))
    present = [g for _, _, g in pieces if g is not None]
    nonfinite = sum(int(np.sum(~np.isfinite(g))) for g in present)
    grad_norm = float("nan")
    if guard is Guard.PUSH:
        grad_norm = abs(scale) * float(np.sqrt(sum(np.sum(g**2) for g in present)))
        if nonfinite:
            return PushStats(False, nonfinite, 0.0, 0.0, grad_norm)
        scale = clip_factor(scale, call.get("clip", 0.0), grad_norm)

    rows: dict[int, Row] = {}  # of gap_state
    if penalty is not None and penalty.rows:
        for row, place, g in pieces:
            if g is not None:
                seen = rows.setdefault(row, Row())
                seen.gap_sq += float(np.sum((buffers["x"][place] - buffers["snapshot"][place]) ** 2))
                seen.elements += g.size
        for row, seen in rows.items():
            state = buffers["gap_state"][row]
            seen.c = row_size(state, penalty, call, has_v="v" in buffers)
            seen.norm = float(np.sqrt(state[2] if penalty.lagged else seen.gap_sq))

    gap_sq = step_sq = shares = 0.0
    for row, place, g in pieces:
        x = buffers["x"][place]  # a view: later writes go through it
        gap = distance(buffers, place, momentum, call)
        gap_sq += float(np.sum(gap**2))
        good = np.ones_like(x, dtype=bool) if g is None else np.isfinite(g)
        if g is not None:
            g = scale * np.where(good, g, 0.0)
            moving = np.ones_like(good) if flushes else good
            u = g if "v" not in buffers or (penalty is not None and penalty.unit == "g") else buffers["v"][place]
            decay, decoupled = weight_decay_term(x, call.get("weight_decay", 0.0)), np.zeros_like(x)
            scales = isinstance(momentum, AdaptiveStage | Table)
            if isinstance(momentum, Table) or (isinstance(momentum, AdaptiveStage) and momentum.decoupled):
                decay, decoupled = decoupled, call["lr"] * decay
            d = g
            if compensation is not None:
                strength: Array | float = compensation.lam
                if compensation.adaptive:
                    ms = buffers["ms"][place]
                    ms[:] = np.where(good, running_square(ms, g, compensation.decay), ms)
                    strength = compensation.lam / np.sqrt(ms + compensation.eps)
                d = compensated(g, gap, strength, compensation)
            share: Array | float = 1.0
            if penalty is None:
                d = d + decay
            elif not penalty.rows:
                s = buffers["s"][place]
                if penalty.unit != "step":
                    s[:] = np.where(good, running_square(s, u, penalty.decay), s)
                big = gap_penalty(gap, s, penalty, call)
                d, share = penalised(d, decay, big, penalty), 1 / big
            else:
                distances = np.abs(gap) if penalty.level == "element" else np.full_like(gap, rows[row].norm)
                big = 1 + distances / rows[row].c if rows[row].c else np.ones_like(gap)
                d, share = penalised(d, decay, big, penalty), 1 / big
            shares += float(np.sum(np.broadcast_to(share, x.shape)))
            lr = call["lr"]
            if scales:
                d = g + decay
            wanted = lr * d if momentum is None else STEPS[type(momentum)](buffers, place, d, good, momentum, call)
            if scales:
                wanted = share * wanted + decoupled
            step = np.where(moving, wanted, 0.0)
            x -= step
            step_sq += float(np.sum(step**2))
            if penalty is not None and not penalty.rows and penalty.unit == "step":
                s = buffers["s"][place]
                s[:] = np.where(good, running_square(s, step, penalty.decay), s)
            if rows and penalty is not None:
                size = step if penalty.unit == "step" else g if u is g or "v" not in buffers else buffers["v"][place]
                rows[row].size_sq += float(np.sum(size**2))
        exchange(buffers, place, gap, good, call)
        if "snapshot" in buffers:
            buffers["snapshot"][place] = ahead(buffers, place, momentum, call)

    for row, seen in rows.items():
        assert penalty is not None
        state, decay_of_mean = buffers["gap_state"][row], penalty.decay
        size_sq = seen.size_sq / seen.elements if penalty.level == "element" else seen.size_sq
        means = decay_of_mean * state[:2] + (1 - decay_of_mean) * np.array([size_sq, 1.0])
        buffers["gap_state"][row] = *means, seen.gap_sq
    elements = sum(g.size for g in present)
    return PushStats(True, nonfinite, gap_sq, step_sq, grad_norm, elements / shares if elements else 1.0)
