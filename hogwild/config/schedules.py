"""The learning rate as a pure function of the global ticket number, independent of workers and clocks."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hogwild.config import Config

SCHEDULES = {
    "constant": "lr",
    "cosine": "lr falls to min_lr along half a cosine",
    "linear": "lr falls to min_lr in a straight line",
    "one-cycle": "lr rises from lr/25 in the warm-up (30 % by default), then falls to min_lr, each along half a cosine",
    "inverse-sqrt": "lr falls like one over the root of the ticket, from the end of the warm-up on",
    "step": "lr is multiplied by step_factor at each of the milestones",
}  # fmt: skip
WITH_MIN_LR = ("cosine", "linear", "one-cycle")
RISE, RISES_FROM = 0.3, 1 / 25  # of one-cycle: part of the run, part of lr

Shape = Callable[[float], float]
"""progress -> factor on lr. progress is 0 at the end of the warm-up and below 1 until the run ends."""


@dataclass(frozen=True)
class Schedule:
    """lr_k for ticket k = 0, 1, ..., T-1: warm-up over the first K tickets, then a shape. u = (k-K)/(T-K).

        k < K         lr_k = lr (s + (1 - s) k/K)                         gradual warm-up, Goyal et al. 2017, arXiv:1706.02677
        constant      lr_k = lr
        cosine        lr_k = min + (lr - min) (1 + cos(pi u)) / 2         Loshchilov & Hutter 2017, arXiv:1608.03983, no restart
        linear        lr_k = lr + (min - lr) u
        one-cycle     lr_k as cosine; k < K: lr/25 + (lr - lr/25) (1 - cos(pi k/K)) / 2     Smith & Topin 2017, arXiv:1708.07120
        inverse-sqrt  lr_k = lr sqrt(C / (C + k - K)),  C = max(K, 1)     Vaswani et al. 2017, arXiv:1706.03762
        step          lr_k = lr factor^j,  j = number of milestones m with m T <= k
        own           lr_k = lr f(u)

    s is `start`, min is `min_lr`, f is `shape`. From ticket T on, lr keeps its last value.

    Deviates: milestones are fractions of the run, so that they apply to any limit. One-cycle leaves momentum alone.
    """  # noqa: E501

    kind: str
    base_lr: float
    total_tickets: int
    warmup_tickets: int = 0
    start: float = 1.0
    milestones: tuple[float, ...] = ()
    factor: float = 0.1
    min_lr: float = 0.0
    shape: Shape | None = None

    def __post_init__(self) -> None:
        if self.kind not in SCHEDULES and self.shape is None:
            raise ValueError(f"schedule {self.kind!r} is none of {', '.join(SCHEDULES)}")
        if not 0 <= self.warmup_tickets < max(self.total_tickets, 1):
            raise ValueError(f"a warm-up of {self.warmup_tickets} tickets does not fit into {self.total_tickets}")

    @classmethod
    def of(
        cls, config: Config, total_tickets: int, warmup_tickets: int | None = None,
        milestones: tuple[float, ...] | None = None, shape: Shape | None = None,
    ) -> Schedule:  # fmt: skip
        """The schedule of a run of `total_tickets`. `warmup_tickets`, `milestones`: where they are not fractions of the
        run; `shape`: the function that config.schedule names, if it names one.
        """
        warmup = int(config.warmup * total_tickets) if warmup_tickets is None else warmup_tickets
        if config.schedule == "one-cycle" and not warmup:
            warmup = int(RISE * total_tickets)
        return cls(
            kind=config.schedule,
            base_lr=config.lr,
            total_tickets=total_tickets,
            warmup_tickets=warmup,
            start=config.warmup_from,
            milestones=config.milestones if milestones is None else milestones,
            factor=1.0 if config.step_factor is None else config.step_factor,
            min_lr=config.min_lr,
            shape=shape,
        )

    def lr(self, ticket: int) -> float:
        """lr_k of ticket k >= 0."""
        if ticket < self.warmup_tickets:
            return self._rising(ticket / self.warmup_tickets)
        after = ticket - self.warmup_tickets
        done = min(after / max(self.total_tickets - self.warmup_tickets, 1), 1.0)
        if self.shape is not None:
            return self.base_lr * float(self.shape(done))
        if self.kind in ("cosine", "one-cycle"):
            return self.min_lr + (self.base_lr - self.min_lr) * (1 + math.cos(math.pi * done)) / 2
        if self.kind == "linear":
            return self.base_lr + (self.min_lr - self.base_lr) * done
        if self.kind == "inverse-sqrt":
            base = max(self.warmup_tickets, 1)
            return self.base_lr * math.sqrt(base / (base + min(after, self.total_tickets - self.warmup_tickets)))
        if self.kind == "step":
            passed = bisect_right([part * self.total_tickets for part in self.milestones], ticket)
            return self.base_lr * self.factor**passed
        return self.base_lr

    def _rising(self, part: float) -> float:
        """The learning rate when that part of the warm-up is over."""
        if self.kind == "one-cycle":
            return self.base_lr * (RISES_FROM + (1 - RISES_FROM) * (1 - math.cos(math.pi * part)) / 2)
        first = self.base_lr * self.start
        return first + (self.base_lr - first) * part
