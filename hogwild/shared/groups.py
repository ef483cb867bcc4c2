"""The factors of learning rate and weight decay of every parameter of a run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Groups:
    """`factors`: of lr and of `weight_decay`, for each trained parameter in the order of the layout; empty: all 1."""

    weight_decay: float = 0.0
    factors: tuple[tuple[float, float], ...] = ()

    @property
    def has_own_lr(self) -> bool:
        return any(lr != 1 for lr, _ in self.factors)
