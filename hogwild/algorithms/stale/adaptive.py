"""The options that adaptive rules have in common: what staleness does to their step, and who shares a running square.

A factor of the gradient has no effect on these rules, so a gap or a delay divides the step (docs/adaptive.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import ClassVar

from hogwild.algorithms.base import BELOW_ONE, SHARED, WORKER, Buffer, OfDelay, View, option
from hogwild.algorithms.stale.corrections import GAP_COLUMNS
from hogwild.buffers import Rows, Scope
from hogwild.rules import Gap

SCALED_OUT = "a factor on the gradient has no effect on an adaptive rule: staleness-lr divides its step"
OTHER_DIMENSION = "an adaptive rule divides its step, so C is the running size of steps"
POSITIVE = (lambda value: value > 0, "a number > 0")


@dataclass(frozen=True)
class StepOptions:
    """How the step of a stale gradient is reduced. ValueError for options of a penalty that is off."""

    refuses: ClassVar[Mapping[str, str]] = {
        "compensation": "lam g g (x - snapshot) is in the units of SGD, and this rule scales the gradient",
        "penalize_wd": "decoupled weight decay is never penalised, and other weight decay is scaled with the gradient",
        "momentum": "it is called beta1 here",
    }

    penalty: str = option(
        "none",
        "what the step of a stale gradient is divided by: its gap, its delay",
        choices=("none", "gap", "staleness-lr"),
        refused={"staleness": SCALED_OUT},
    )
    gap_unit: str = option(
        "step",
        "what C is the running size of",
        choices=("step",),
        refused={"v": OTHER_DIMENSION, "g": OTHER_DIMENSION},
    )
    gap_size: str = option(
        "level", "what C is of: an element (level), a parameter tensor, all", choices=("level", "layer", "global")
    )
    gap_decay: float = option(0.999, "decay Gamma of the running mean of squared steps", check=BELOW_ONE)

    def __post_init__(self) -> None:
        for name in ("gap_size", "gap_decay"):
            default = next(field.default for field in fields(self) if field.name == name)
            if self.penalty != "gap" and getattr(self, name) != default:
                raise ValueError(
                    f"{name} is an option of penalty gap, this one is {self.penalty}: add penalty gap or leave it out"
                )

    def gap(self) -> Gap | None:
        if self.penalty != "gap":
            return None
        return Gap(self.gap_decay, unit="step", size=None if self.gap_size == "level" else self.gap_size)

    def slower(self, w: View) -> OfDelay[float | None] | None:
        """lr / max(1, tau), if the delay divides the step."""
        return (lambda delay: w.lr / max(1, delay)) if self.penalty == "staleness-lr" else None

    @property
    def table_rule(self) -> str:
        return "row-adagrad"

    @property
    def needs_snapshot(self) -> bool:
        return self.penalty == "gap"

    def step_buffers(self) -> dict[str, Buffer]:
        """The running size of the steps, if a penalty needs it."""
        if (gap := self.gap()) is None:
            return {}
        if gap.rows is None:
            return {"s": SHARED}
        return {"gap_state": Buffer(Scope.SHARED, size=Rows(GAP_COLUMNS), dtype="float64")}


@dataclass(frozen=True)
class AdaptiveOptions(StepOptions):
    """The same, and the scope of the running square q."""

    q_scope: str = option(
        "shared", "one running square q for all workers, or one for each", choices=("shared", "worker")
    )

    @property
    def stability_rule(self) -> str | None:
        """That of a fixed q, which all workers share. A gap only shortens steps."""
        return None if self.penalty == "staleness-lr" or self.q_scope == "worker" else self.frozen_rule

    @property
    def frozen_rule(self) -> str:
        """What the rule is while its q is held fixed: one of hogwild.theory.RULES."""
        return "none"

    def own_buffers(self) -> dict[str, Buffer]:
        return {"q": SHARED if self.q_scope == "shared" else WORKER, **self.step_buffers()}


def eps_option(default: float) -> float:
    return option(default, "added to the root of q", check=POSITIVE)


def decoupled_option(default: bool) -> bool:
    return option(default, "weight decay is lr wd x in the step; false: wd x in the gradient, scaled with it")
