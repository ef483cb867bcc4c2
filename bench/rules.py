"""The fused rules, the bytes that each moves per parameter, and the chain of torch operations that it replaces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from bench import chains
from bench.field import COMPENSATION, MOMENTUM, WORKERS, Field
from hogwild.rules import (
    AdamW,
    AdamWSlim,
    Compensation,
    Dana,
    Gap,
    HeavyBall,
    Lion,
    Momentum,
    Nesterov,
    OrMo,
    RMSprop,
    Smega2,
)

FLOAT = 4


@dataclass(frozen=True)
class Fused:
    """`reads`, `writes`: arrays of n elements, each counted once per pass that reads or writes it.

    `least`: bytes of a single pass that only computes the rule and writes the next snapshot. The push reads the old
    snapshot also for rules that do not need it, because it reports the gap.
    """

    reads: int
    writes: int
    least: int
    chain: Callable[[Field], Callable[[], object]] | None
    momentum: Momentum | None = None
    penalty: Gap | None = None
    compensation: Compensation | None = None
    divides_lr: bool = False

    @property
    def bytes(self) -> int:
        return FLOAT * (self.reads + self.writes)


BALL, SLIM, DANA = HeavyBall(MOMENTUM), Nesterov(MOMENTUM), Dana(MOMENTUM)
RULES = {
    "momentum": Fused(4, 3, 24, chains.momentum, BALL),
    "staleness-aware": Fused(4, 3, 24, chains.staleness_aware, BALL, divides_lr=True),
    "gap element": Fused(5, 4, 36, chains.gap, BALL, Gap()),
    "gap element, one C": Fused(4, 3, 28, chains.sized_gap, BALL, Gap(size="global")),
    "gap global": Fused(6, 3, 32, chains.global_gap, BALL, Gap(level="global")),
    "gap global lagged": Fused(4, 3, 24, None, BALL, Gap(level="global", lagged=True)),
    "dana-zero": Fused(5, 4, 32, chains.dana_zero, DANA),
    "dana-slim": Fused(4, 3, 24, chains.dana_slim, SLIM),
    "dana-ga": Fused(6, 5, 44, chains.dana_ga, DANA, Gap()),
    "dana-slim + gap element": Fused(5, 4, 36, chains.dana_slim_gap, SLIM, Gap()),
    "dana-slim + gap global lagged": Fused(4, 3, 24, None, SLIM, Gap(level="global", lagged=True)),
    "dc-asgd constant": Fused(3, 2, 20, chains.constant_compensation, compensation=COMPENSATION),
    "dc-asgd adaptive": Fused(
        4, 3, 28, chains.adaptive_compensation, compensation=replace(COMPENSATION, adaptive=True)
    ),
    "smega2": Fused(5, 3, 28, chains.smega2, Smega2(MOMENTUM, WORKERS)),
    "ormo": Fused(4, 3, 24, chains.ormo, OrMo(MOMENTUM, WORKERS)),
    "adamw heavy-ball": Fused(5, 4, 32, chains.adamw, AdamW()),
    "adamw dana-slim": Fused(5, 4, 32, None, AdamWSlim()),
    "rmsprop": Fused(4, 3, 24, chains.rmsprop, RMSprop()),
    "lion": Fused(4, 3, 24, chains.lion, Lion()),
}
"""The lagged norms have no chain: torch would need the passes of the exact form for the norms of the next push."""
