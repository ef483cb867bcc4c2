"""Every fused rule in torch operations with the least memory traffic: in place, `out=`, temporaries kept between calls.

A chain is the code for one flat tensor without an own kernel. The equations are those of hogwild.rules; the scalars are
those of the measured push.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from bench.eager import Constants, sparing
from bench.field import COMPENSATION, DELAY, LR, MOMENTUM, PUSHES, WORKERS, Field
from hogwild.rules import AdamW, Gap, Lion, RMSprop, Smega2, look_ahead

M = MOMENTUM
ROW = 4096  # elements in a row; it divides all sizes
Chain = Callable[[], object]


def momentum(f: Field) -> Chain:
    def push() -> None:
        f.v.mul_(M).add_(f.g)
        f.x.add_(f.v, alpha=-LR)
        f.snapshot.copy_(f.x)

    return push


def staleness_aware(f: Field) -> Chain:
    def push() -> None:
        f.v.mul_(M).add_(f.g)
        f.x.add_(f.v, alpha=-LR / DELAY)
        f.snapshot.copy_(f.x)

    return push


def dana_slim(f: Field) -> Chain:
    def push() -> None:
        f.v.mul_(M).add_(f.g)
        f.x.add_(f.g, alpha=-LR).add_(f.v, alpha=-LR * M)
        f.snapshot.copy_(f.x)

    return push


def dana_zero(f: Field) -> Chain:
    def push() -> None:
        f.v_sum.sub_(f.v)
        f.v.mul_(M).add_(f.g)
        f.v_sum.add_(f.v)
        f.x.add_(f.v, alpha=-LR)
        torch.add(f.x, f.v_sum, alpha=-LR * M, out=f.snapshot)

    return push


def smega2(f: Field) -> Chain:
    ahead = look_ahead(Smega2(M, WORKERS), lr=LR, pushes=PUSHES + 1)

    def push() -> None:
        f.b.add_(f.g)
        f.x.add_(f.g, alpha=-LR).add_(f.v, alpha=-LR * M)
        torch.add(f.x, f.v, alpha=-ahead["v"], out=f.snapshot).add_(f.b, alpha=-ahead["b"])

    return push


def adamw(f: Field) -> Chain:
    rule, root = AdamW(), torch.empty_like(f.q)
    bc1, bc2 = 1 - rule.beta1 ** (PUSHES + 1), 1 - rule.beta2 ** (PUSHES + 1)

    def push() -> None:
        f.v.lerp_(f.g, 1 - rule.beta1)
        f.q.mul_(rule.beta2).addcmul_(f.g, f.g, value=1 - rule.beta2)
        torch.sqrt(f.q, out=root).add_(rule.eps * math.sqrt(bc2))
        f.x.addcdiv_(f.v, root, value=-LR * math.sqrt(bc2) / bc1)
        f.snapshot.copy_(f.x)

    return push


def rmsprop(f: Field) -> Chain:
    rule, root = RMSprop(), torch.empty_like(f.q)

    def push() -> None:
        f.q.mul_(rule.beta2).addcmul_(f.g, f.g, value=1 - rule.beta2)
        torch.add(f.q, rule.eps, out=root).sqrt_()
        f.x.addcdiv_(f.g, root, value=-LR)
        f.snapshot.copy_(f.x)

    return push


def lion(f: Field) -> Chain:
    rule, c = Lion(), torch.empty_like(f.v)

    def push() -> None:
        torch.lerp(f.v, f.g, 1 - rule.beta1, out=c).sign_()
        f.v.lerp_(f.g, 1 - rule.beta2)
        f.x.add_(c, alpha=-LR)
        f.snapshot.copy_(f.x)

    return push


def ormo(f: Field) -> Chain:
    late = PUSHES // WORKERS - (PUSHES - DELAY) // WORKERS

    def push() -> None:
        f.v.add_(f.g, alpha=M**late * LR)
        f.x.add_(f.g, alpha=-LR * (1 - M ** (late + 1)) / (1 - M))
        f.snapshot.copy_(f.x)

    return push


def gap(f: Field) -> Chain:
    return sparing(f.x, f.snapshot, f.v, f.s, f.g, Constants(LR, M, Gap(), PUSHES + 1))


def _shares(f: Field) -> tuple[Callable[[], None], Tensor]:
    """1 / G = C / (C + |x - snapshot|), and the tensor for its result."""
    h, distance, share = Constants(LR, M, Gap(), PUSHES + 1), torch.empty_like(f.x), torch.empty_like(f.x)

    def compute() -> None:
        torch.sub(f.x, f.snapshot, out=distance).abs_()
        f.s.mul_(h.rule.decay).addcmul_(f.v, f.v, value=1 - h.rule.decay)
        torch.sqrt(f.s, out=share).mul_(h.scale).add_(h.floor)
        distance.add_(share)
        share.div_(distance)

    return compute, share


def dana_ga(f: Field) -> Chain:
    compute, share = _shares(f)

    def push() -> None:
        compute()
        f.v_sum.sub_(f.v)
        f.v.mul_(M).addcmul_(f.g, share)
        f.v_sum.add_(f.v)
        f.x.add_(f.v, alpha=-LR)
        torch.add(f.x, f.v_sum, alpha=-LR * M, out=f.snapshot)

    return push


def dana_slim_gap(f: Field) -> Chain:
    compute, d = _shares(f)

    def push() -> None:
        compute()
        d.mul_(f.g)
        f.v.mul_(M).add_(d)
        f.x.add_(d, alpha=-LR).add_(f.v, alpha=-LR * M)
        f.snapshot.copy_(f.x)

    return push


def _norm(t: Tensor) -> float:
    """||t||, summed in rows, because torch's float32 sum over 32 M numbers at once has an error of 0.4 %."""
    return float(torch.linalg.vector_norm(torch.linalg.vector_norm(t.view(-1, ROW), dim=1)))


def global_gap(f: Field) -> Chain:
    """The norms, in separate passes."""
    distance, rule, state = torch.empty_like(f.x), Gap(level="global"), f.gap_state[0]

    def push() -> None:
        torch.sub(f.x, f.snapshot, out=distance)
        gap_norm = _norm(distance)
        mean_sq, weight = float(state[0]), rule.decay * float(state[1]) + 1 - rule.decay
        penalty = 1 + gap_norm / (LR * math.sqrt(mean_sq / weight))
        f.v.mul_(M).add_(f.g, alpha=1 / penalty)
        f.x.add_(f.v, alpha=-LR)
        f.snapshot.copy_(f.x)
        state[0], state[1] = rule.decay * mean_sq + (1 - rule.decay) * _norm(f.v) ** 2, weight

    return push


def sized_gap(f: Field) -> Chain:
    """G of every element, with one C."""
    big, rule, state = torch.empty_like(f.x), Gap(size="global"), f.gap_state[0]

    def push() -> None:
        mean_sq, weight = float(state[0]), rule.decay * float(state[1]) + 1 - rule.decay
        c = LR * (math.sqrt(mean_sq / weight) + rule.eps)
        torch.sub(f.x, f.snapshot, out=big).abs_().div_(c).add_(1)
        f.v.mul_(M).addcdiv_(f.g, big)
        f.x.add_(f.v, alpha=-LR)
        f.snapshot.copy_(f.x)
        state[0], state[1] = rule.decay * mean_sq + (1 - rule.decay) * _norm(f.v) ** 2 / f.n, weight

    return push


def constant_compensation(f: Field) -> Chain:
    gap = torch.empty_like(f.x)

    def push() -> None:
        torch.sub(f.x, f.snapshot, out=gap).mul_(f.g).mul_(f.g)
        f.x.add_(f.g, alpha=-LR).add_(gap, alpha=-LR * COMPENSATION.lam)
        f.snapshot.copy_(f.x)

    return push


def adaptive_compensation(f: Field) -> Chain:
    gap, root = torch.empty_like(f.x), torch.empty_like(f.x)

    def push() -> None:
        f.ms.mul_(COMPENSATION.decay).addcmul_(f.g, f.g, value=1 - COMPENSATION.decay)
        torch.add(f.ms, COMPENSATION.eps, out=root).rsqrt_()
        torch.sub(f.x, f.snapshot, out=gap).mul_(f.g).mul_(f.g).mul_(root)
        f.x.add_(f.g, alpha=-LR).add_(gap, alpha=-LR * COMPENSATION.lam)
        f.snapshot.copy_(f.x)

    return push
