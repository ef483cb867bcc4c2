"""The gap-aware push with shifted momentum in torch operations: as one would write it, and as sparing as torch allows.

    s <- Gamma s + (1 - Gamma) v^2;   C = lr (sqrt(s / (1 - Gamma^t)) + eps);   G = 1 + |x - snapshot| / C
    v <- m v + g / G;   x <- x - lr v;   snapshot <- x
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from hogwild.rules import Gap


def plain(
    x: Tensor, snapshot: Tensor, v: Tensor, s: Tensor, g: Tensor, *, lr: float, momentum: float, rule: Gap, t: int
) -> Callable[[], None]:
    """Every intermediate result is a new tensor."""

    def push() -> None:
        gap = (x - snapshot).abs()
        s.mul_(rule.decay).addcmul_(v, v, value=1 - rule.decay)
        c = lr * ((s / (1 - rule.decay**t)).sqrt() + rule.eps)
        penalty = 1 + gap / c
        v.mul_(momentum).add_(g / penalty)
        x.add_(v, alpha=-lr)
        snapshot.copy_(x)

    return push


def sparing(
    x: Tensor, snapshot: Tensor, v: Tensor, s: Tensor, g: Tensor, *, lr: float, momentum: float, rule: Gap, t: int
) -> Callable[[], None]:
    """Two temporaries, kept between calls, every operation in place; 1 / G = C / (C + |x - snapshot|)."""
    gap, c = torch.empty_like(x), torch.empty_like(x)
    scale = lr / math.sqrt(1 - rule.decay**t)

    def push() -> None:
        torch.sub(x, snapshot, out=gap).abs_()
        s.mul_(rule.decay).addcmul_(v, v, value=1 - rule.decay)
        torch.sqrt(s, out=c).mul_(scale).add_(lr * rule.eps)
        gap.add_(c)
        c.div_(gap)
        v.mul_(momentum).addcmul_(g, c)
        x.add_(v, alpha=-lr)
        snapshot.copy_(x)

    return push
