"""The factors of learning rate and weight decay of every parameter of a run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Groups:
    """`factors`: of lr and of the weight decay `base`, for each trained parameter in the order of the layout. Empty:
    all are 1, and the weight decay is that of the run.
    """

    factors: tuple[tuple[float, float], ...] = ()
    base: float = 0.0

    def weight_decay(self, of_run: float) -> float:
        """The weight decay that the factors multiply."""
        return self.base if self.factors else of_run

    @property
    def has_own_lr(self) -> bool:
        return any(lr != 1 for lr, _ in self.factors)
