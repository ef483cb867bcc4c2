"""The oracle of the push: same stage names and the same slot order as csrc/push.h."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hogwild.rules import Compensation, Dana, Gap, Guard, HeavyBall, Momentum, Nesterov, OrMo, Smega2, look_ahead

Array = npt.NDArray[np.float64]


@dataclass
class Buffers:
    """Flat float64 buffers [n], changed in place; None where the rule needs none. gap_state: [rows, 3]."""

    x: Array
    snapshot: Array | None = None
    v: Array | None = None
    s: Array | None = None
    ms: Array | None = None
    v_sum: Array | None = None
    b: Array | None = None
    center: Array | None = None
    gap_state: Array | None = None


@dataclass(frozen=True)
class PushStats:
    applied: bool
    nonfinite: int
    gap_sq: float
    step_sq: float
    grad_norm: float = float("nan")
    penalty: float = 1.0


@dataclass(frozen=True)
class Call:
    """The scalars of one push."""

    lr: float
    pushes: int
    lr_max: float
    weight_decay: float
    first_step: bool
    delay: int
    alpha: float


@dataclass
class Row:
    """What a push sees of a row of gap_state: C and ||gap|| before it, sums of squares over the row."""

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
    """d = g / G + wd x / G, or with the weight decay whole"""
    return g / penalty + (decay / penalty if rule.penalize_weight_decay else decay)


def running_square(s: Array, u: Array, decay: float) -> Array:
    """s <- Gamma s + (1 - Gamma) u^2"""
    return decay * s + (1 - decay) * u**2


def gap_penalty(gap: Array, s: Array, rule: Gap, call: Call) -> Array:
    """G = 1 + |gap| / C,  C = r (sqrt(s / (1 - Gamma^t)) + eps)   [Barkai et al. 2020]

    r is lr_max, lr, or for steps 1, whose mean has t - 1 samples. G is 1 on the first push, while lr_max is 0, and
    where s is 0.
    """
    reference = call.lr if rule.reference == "lr" else call.lr_max
    if call.pushes == 0 or reference <= 0:
        return np.ones_like(gap)
    samples = call.pushes if rule.unit == "step" else call.pushes + 1
    c = (1.0 if rule.unit == "step" else reference) * (np.sqrt(s / (1 - rule.decay**samples)) + rule.eps)
    return np.where(s == 0, 1.0, 1 + np.abs(gap) / c)


def row_size(row: Array, rule: Gap, call: Call, *, has_momentum: bool) -> float:
    """C of a row of gap_state: r sqrt(mean ||u||^2 / (1 - Gamma^t)), + r eps under an element-wise G; 0: nothing moved

    The mean of v counts its first value, zero.
    """
    reference = 1.0 if rule.unit == "step" else call.lr if rule.reference == "lr" else call.lr_max
    mean_sq, weight = row[0], row[1]
    if mean_sq <= 0 or reference <= 0:
        return 0.0
    if rule.unit == "v" and has_momentum:
        weight = rule.decay * weight + 1 - rule.decay
    return float(reference * (np.sqrt(mean_sq / weight) + (rule.eps if rule.level == "element" else 0.0)))


def next_velocity(v: Array, d: Array, rule: HeavyBall | Nesterov | Dana, *, first_step: bool) -> Array:
    """v <- m v + (1 - dampening) d, undampened on a first step if the rule says so"""
    if isinstance(rule, Dana):
        return rule.momentum * v + d
    damp = 1.0 if first_step and rule.torch_first_step else 1 - rule.dampening
    return rule.momentum * v + damp * d


def momentum_step(
    at: Buffers, place: slice, d: Array, good: npt.NDArray[np.bool_], rule: Momentum, call: Call
) -> Array:
    """Brings the momentum buffers up to date where `good`, and returns the step to subtract from x."""
    assert at.v is not None
    v = at.v[place]
    if isinstance(rule, Smega2):
        assert at.b is not None
        step = call.lr * (d + rule.momentum * v)
        at.b[place] += d
        if (call.pushes + 1) % rule.workers == 0:
            at.v[place] = rule.momentum * v + at.b[place] / rule.workers
            at.b[place] = 0
        return step
    if isinstance(rule, OrMo):
        m, bucket = rule.momentum, call.pushes // rule.workers
        late = bucket - max(0, call.pushes - call.delay) // rule.workers
        drained: Array = np.zeros_like(v)
        if call.pushes > 0 and call.pushes % rule.workers == 0:
            drained = m * v
            at.v[place] = drained
        at.v[place] += m**late * call.lr * d
        return drained + (1 - m ** (late + 1)) / (1 - m) * call.lr * d
    after = np.where(good, next_velocity(v, d, rule, first_step=call.first_step), v)
    if isinstance(rule, Dana):
        assert at.v_sum is not None
        at.v_sum[place] += after - v
    at.v[place] = after
    return call.lr * (d + rule.momentum * after if isinstance(rule, Nesterov) else after)


def distance(at: Buffers, place: slice, rule: Momentum | None, call: Call) -> Array:
    """x - snapshot, or x - center; under Nesterov the worker is at x + lr m v   [Zhang et al. 2015, Alg. 2]"""
    origin = at.snapshot if at.center is None else at.center
    gap: Array = np.zeros_like(at.x[place]) if origin is None else at.x[place] - origin[place]
    if at.center is not None and isinstance(rule, Nesterov):
        assert at.v is not None
        gap = gap + call.lr * rule.momentum * at.v[place]
    return gap


def exchange(at: Buffers, place: slice, gap: Array, applied: npt.NDArray[np.bool_], call: Call) -> None:
    """d = alpha gap;  x <- x - d;  center <- center + d   [Zhang et al. 2015, Alg. 1]"""
    if at.center is not None:
        drawn = np.where(applied, call.alpha * gap, 0.0)
        at.x[place] -= drawn
        at.center[place] += drawn


def ahead(at: Buffers, place: slice, rule: Momentum | None, call: Call) -> Array:
    """Where x is going to be, as far as the rule looks ahead"""
    result: Array = at.x[place].copy()
    for name, weight in look_ahead(rule, lr=call.lr, pushes=call.pushes + 1).items():
        result -= weight * getattr(at, name)[place]
    return result


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
    scale: float = 1.0,
    clip: float = 0.0,
    delay: int = 0,
    alpha: float = 0.0,
    penalty: Gap | None = None,
    momentum: Momentum | None = None,
    compensation: Compensation | None = None,
    guard: Guard = Guard.PUSH,
    start: int = 0,
    stop: int | None = None,
) -> PushStats:
    """decay -> compensation -> penalty -> momentum -> exchange -> apply -> observe -> look-ahead, segment by segment.
    Mutates `buffers`.
    """
    call = Call(lr, pushes, lr_max, weight_decay, first_step, delay, alpha)
    stop = buffers.x.size if stop is None else stop
    flushes = isinstance(momentum, Smega2 | OrMo)
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
        scale = clip_factor(scale, clip, grad_norm)

    rows: dict[int, Row] = {}  # of gap_state
    if penalty is not None and penalty.rows:
        assert buffers.gap_state is not None
        assert buffers.snapshot is not None
        for row, place, g in pieces:
            if g is not None:
                seen = rows.setdefault(row, Row())
                seen.gap_sq += float(np.sum((buffers.x[place] - buffers.snapshot[place]) ** 2))
                seen.elements += g.size
        for row, seen in rows.items():
            state = buffers.gap_state[row]
            seen.c = row_size(state, penalty, call, has_momentum=momentum is not None)
            seen.norm = float(np.sqrt(state[2] if penalty.lagged else seen.gap_sq))

    gap_sq = step_sq = shares = 0.0
    for row, place, g in pieces:
        x = buffers.x[place]  # a view: what follows writes through it
        gap = distance(buffers, place, momentum, call)
        gap_sq += float(np.sum(gap**2))
        good = np.ones_like(x, dtype=bool) if g is None else np.isfinite(g)
        if g is not None:
            g = scale * np.where(good, g, 0.0)
            moving = np.ones_like(good) if flushes else good
            u = g if buffers.v is None or (penalty is not None and penalty.unit == "g") else buffers.v[place]
            decay = weight_decay_term(x, weight_decay)
            d = g
            if compensation is not None:
                strength: Array | float = compensation.lam
                if compensation.adaptive:
                    assert buffers.ms is not None
                    ms = np.where(good, running_square(buffers.ms[place], g, compensation.decay), buffers.ms[place])
                    buffers.ms[place] = ms
                    strength = compensation.lam / np.sqrt(ms + compensation.eps)
                d = compensated(g, gap, strength, compensation)
            share: Array | float = 1.0
            if penalty is None:
                d = d + decay
            elif not penalty.rows:
                assert buffers.s is not None
                if penalty.unit != "step":
                    s = buffers.s[place]
                    buffers.s[place] = np.where(good, running_square(s, u, penalty.decay), s)
                big = gap_penalty(gap, buffers.s[place], penalty, call)
                d, share = penalised(d, decay, big, penalty), 1 / big
            else:
                distances = np.abs(gap) if penalty.level == "element" else np.full_like(gap, rows[row].norm)
                big = 1 + distances / rows[row].c if rows[row].c else np.ones_like(gap)
                d, share = penalised(d, decay, big, penalty), 1 / big
            shares += float(np.sum(np.broadcast_to(share, x.shape)))
            wanted = lr * d if momentum is None else momentum_step(buffers, place, d, good, momentum, call)
            step = np.where(moving, wanted, 0.0)
            x -= step
            step_sq += float(np.sum(step**2))
            if penalty is not None and not penalty.rows and penalty.unit == "step":
                assert buffers.s is not None
                s = buffers.s[place]
                buffers.s[place] = np.where(good, running_square(s, step, penalty.decay), s)
            if rows and penalty is not None:
                size = step if penalty.unit == "step" else g if u is g or buffers.v is None else buffers.v[place]
                rows[row].size_sq += float(np.sum(size**2))
        exchange(buffers, place, gap, good, call)
        if buffers.snapshot is not None:
            buffers.snapshot[place] = ahead(buffers, place, momentum, call)

    for row, seen in rows.items():
        assert buffers.gap_state is not None
        assert penalty is not None
        state, decay_of_mean = buffers.gap_state[row], penalty.decay
        size_sq = seen.size_sq / seen.elements if penalty.level == "element" else seen.size_sq
        means = decay_of_mean * state[:2] + (1 - decay_of_mean) * np.array([size_sq, 1.0])
        buffers.gap_state[row] = *means, seen.gap_sq
    elements = sum(g.size for g in present)
    return PushStats(True, nonfinite, gap_sq, step_sq, grad_norm, elements / shares if elements else 1.0)
