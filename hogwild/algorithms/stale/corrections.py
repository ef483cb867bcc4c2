"""The options of the two corrections of a stale gradient, for all algorithms that offer them, and the rules they make.

penalty:        g / G,  G = 1 + |x - snapshot| / C          Barkai et al. 2020 (gap_aware.py)
compensation:   g + lam g g (x - snapshot)                  Zheng et al. 2017 (dc_asgd.py)
"""

from __future__ import annotations

from dataclasses import dataclass

from hogwild.algorithms.base import BELOW_ONE, SHARED, Buffer, Rows, Scope, option
from hogwild.rules import Compensation, Gap

GAP_COLUMNS = 3  # of gap_state (hogwild.rules.Gap)


@dataclass(frozen=True)
class GapOptions:
    """What the gap penalty is made of. ValueError for what does not go together."""

    gap_level: str = option(
        "element", "one G an element, a parameter tensor, or for all", choices=("element", "layer", "global")
    )
    gap_size: str = option(
        "level", "what C is of: the same as gap_level, a parameter tensor, all", choices=("level", "layer", "global")
    )
    gap_lagged: bool = option(False, "layer, global: norms of the worker's previous push, in one pass")
    gap_unit: str = option(
        "v", "what C is the running size of: momentum, gradient, step made", choices=("v", "g", "step")
    )
    gap_reference: str = option("lr_max", "C is in units of the largest or the current lr", choices=("lr_max", "lr"))
    gap_decay: float = option(0.999, "decay Gamma of the running mean of squared steps", check=BELOW_ONE)
    penalize_wd: bool = option(True, "divide the weight decay by the gap too")

    def __post_init__(self) -> None:
        if self.gap_lagged and self.gap_level == "element":
            raise ValueError("gap_lagged is for gap_level layer or global: the element-wise form needs no second pass")
        if self.gap_size != "level" and self.gap_level not in ("element", self.gap_size):
            raise ValueError(f"gap_size = {self.gap_size} goes with gap_level = element: leave out one of the two")

    def gap(self) -> Gap:
        return Gap(
            self.gap_decay,
            penalize_weight_decay=self.penalize_wd,
            unit=self.gap_unit,
            reference=self.gap_reference,
            level=self.gap_level,
            size=None if self.gap_size == "level" else self.gap_size,
            lagged=self.gap_lagged,
        )

    def gap_buffers(self) -> dict[str, Buffer]:
        """The running size of what moves x: of every element, or of the norms."""
        if self.gap().rows is None:
            return {"s": SHARED}
        scope = Scope.WORKER if self.gap_lagged else Scope.SHARED
        return {"gap_state": Buffer(scope, size=Rows(GAP_COLUMNS), dtype="float64")}


@dataclass(frozen=True)
class CompensationOptions:
    """What delay compensation is made of."""

    dc_lambda: float = option(2.0, "lam, the strength of delay compensation")
    dc_power: int = option(2, "2: lam g g, 1: lam |g|", choices=(1, 2))
    dc_decay: float = option(
        0.95, "decay mu of the running mean of g g that adaptive lam is divided by", check=BELOW_ONE
    )

    def compensated(self, *, adaptive: bool) -> Compensation:
        return Compensation(self.dc_lambda, self.dc_power, adaptive, self.dc_decay)
