"""The gap-aware push with shifted momentum in torch operations: in the obvious form, and with the least memory traffic.

s <- Gamma s + (1 - Gamma) v^2;   C = lr (sqrt(s / (1 - Gamma^t)) + eps);   G = 1 + |x - snapshot| / C
v <- m v + g / G;   x <- x - lr v;   snapshot <- x
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from hogwild.rules import Gap


@dataclass(frozen=True)
class Constants:
    """The scalars of one push; `t` includes this push."""

    lr: float
    momentum: float
    rule: Gap
    t: int

    @property
    def scale(self) -> float:
        """C = scale sqrt(s) + floor"""
        return self.lr / math.sqrt(1 - self.rule.decay**self.t)

    @property
    def floor(self) -> float:
        return self.lr * self.rule.eps


def plain(x: Tensor, snapshot: Tensor, v: Tensor, s: Tensor, g: Tensor, h: Constants) -> Callable[[], None]:
    """Every intermediate result is a new tensor."""

    def push() -> None:
        gap = (x - snapshot).abs()
        s.mul_(h.rule.decay).addcmul_(v, v, value=1 - h.rule.decay)
        c = h.lr * ((s / (1 - h.rule.decay**h.t)).sqrt() + h.rule.eps)
        penalty = 1 + gap / c
        v.mul_(h.momentum).add_(g / penalty)
        x.add_(v, alpha=-h.lr)
        snapshot.copy_(x)

    return push


def sparing(x: Tensor, snapshot: Tensor, v: Tensor, s: Tensor, g: Tensor, h: Constants) -> Callable[[], None]:
    """Two temporaries, kept between calls, every operation in place; 1 / G = C / (C + |x - snapshot|)."""
    gap, c = torch.empty_like(x), torch.empty_like(x)

    def push() -> None:
        torch.sub(x, snapshot, out=gap).abs_()
        s.mul_(h.rule.decay).addcmul_(v, v, value=1 - h.rule.decay)
        torch.sqrt(s, out=c).mul_(h.scale).add_(h.floor)
        gap.add_(c)
        c.div_(gap)
        v.mul_(h.momentum).addcmul_(g, c)
        x.add_(v, alpha=-h.lr)
        snapshot.copy_(x)

    return push
