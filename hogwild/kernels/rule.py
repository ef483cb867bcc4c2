"""Checks that a rule's stages and buffers fit each other, and translates it for the native code."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hogwild import _C
from hogwild.kernels import tensors
from hogwild.rules import (
    Access,
    AdaptiveStage,
    Compensation,
    Gap,
    Guard,
    Momentum,
    OrMo,
    Smega2,
    buffers_of,
    needs_snapshot,
)

STATE_COLUMNS = 3  # columns of gap_state (csrc/stages/gap_state.h)


@dataclass(frozen=True)
class Rule:
    """The stages of a push with their constants."""

    penalty: Gap | None
    momentum: Momentum | None
    compensation: Compensation | None
    access: Access
    guard: Guard
    elastic: bool = False
    own_v: bool = False

    @property
    def has_rows(self) -> bool:
        """Whether G or C belongs to whole segments and is kept in gap_state."""
        return self.penalty is not None and self.penalty.rows is not None

    @property
    def flushes(self) -> bool:
        """Whether the momentum regularly updates all elements, also those without a gradient (every N pushes)."""
        return self.momentum is not None and self.momentum.flushes

    def check(self, buffers: Mapping[str, Tensor], segments: int) -> None:
        """Raises: ValueError for constants out of range, stages that exclude each other, missing or unused buffers."""
        for stage in (self.penalty, self.momentum, self.compensation):
            if stage is not None:
                stage.check()
        if self.penalty is not None and self.compensation is not None:
            raise ValueError("a Gap penalises the staleness that a Compensation corrects: give one of the two")
        alone = self.momentum is not None and self.momentum.stands_alone
        if alone and (self.penalty is not None or self.compensation is not None):
            raise ValueError(f"{type(self.momentum).__name__} goes with neither a Gap nor a Compensation")
        if isinstance(self.momentum, AdaptiveStage):
            self._check_scaling(self.momentum)
        if self.elastic:
            self._check_elastic(buffers)
        stages = self.momentum, self.penalty, self.compensation
        needed = {"x", *buffers_of(*stages), *(["center"] if self.elastic else [])}
        if needs_snapshot(*stages):
            needed.add("snapshot")
        if ("gap_state" in buffers) != self.has_rows:
            raise ValueError("gap_state belongs to a Gap of level or size layer or global: give both or neither")
        if missing := needed - buffers.keys():
            raise ValueError(f"this rule needs the buffers {', '.join(sorted(needed))}: {_names(missing)} missing")
        if idle := buffers.keys() - needed - {"snapshot"}:
            raise ValueError(
                f"this rule has no use for {_names(idle)}: leave them out, or give the stage they belong to"
            )
        if self.penalty is not None and self.penalty.rows is not None:
            check_state(buffers["gap_state"], buffers["x"], segments if self.penalty.rows == "layer" else 1)

    def check_groups(self, groups: Sequence[tuple[float, float]], segments: int) -> None:
        """Raises: ValueError for factors that are negative, too few or too many, or that these stages cannot take."""
        if groups and len(groups) != segments:
            raise ValueError(f"groups has {len(groups)} pairs of factors, and there are {segments} segments: one each")
        for k, (lr, decay) in enumerate(groups):
            if not (0 <= lr < math.inf and 0 <= decay < math.inf):
                raise ValueError(f"the factors of segment {k} are {lr} for lr and {decay} for weight decay: >= 0 each")
        if all(lr == 1 for lr, _ in groups):
            return
        if isinstance(self.momentum, OrMo | Smega2):
            raise ValueError(
                f"{type(self.momentum).__name__} moves all elements with one lr: give all segments the same"
            )
        if self.penalty is not None and self.penalty.unit != "step":
            raise ValueError(
                f"Gap.unit is {self.penalty.unit!r}, of which C is made with one lr: use Gap(unit='step') with an lr "
                "of single segments"
            )

    def check_clip(self, clip: float) -> None:
        if clip < 0:
            raise ValueError(f"clip is {clip}: expected a norm > 0, or 0 for none")
        if self.guard is Guard.ELEMENT:
            raise ValueError(
                "clip needs the gradient's norm before the push: use Guard.PUSH, which reads it beforehand"
            )

    def _check_scaling(self, momentum: AdaptiveStage) -> None:
        """A momentum that divides a factor of the gradient out again: a penalty acts on its step, in units of it."""
        name = type(momentum).__name__
        if self.compensation is not None:
            raise ValueError(f"a Compensation is in the units of SGD, and {name} scales its gradient: leave it out")
        if self.penalty is None:
            return
        if self.penalty.unit != "step":
            raise ValueError(
                f"Gap.unit is {self.penalty.unit!r}, and {name} makes steps of another dimension: use Gap(unit='step')"
            )
        if self.penalty.level != "element":
            raise ValueError(
                f"{name} takes a Gap of level element, not {self.penalty.level}: size may be layer, global"
            )
        if not self.penalty.penalize_weight_decay and not momentum.decoupled:
            raise ValueError(
                f"{name} scales weight decay with the gradient, and a Gap divides their step: leave "
                "penalize_weight_decay True, or decouple the weight decay"
            )

    def _check_elastic(self, buffers: Collection[str]) -> None:
        others: list[object] = [stage for stage in (self.penalty, self.compensation) if stage is not None]
        if self.momentum is not None and not self.momentum.takes_center:
            others.append(self.momentum)
        if others:
            raise ValueError(
                "a center goes with no, HeavyBall, Nesterov, AdamW, RMSprop, Adagrad or Lion momentum alone: "
                f"leave out {others[0]}"
            )
        if "snapshot" in buffers:
            raise ValueError("with a center x is the worker's own replica: leave out the snapshot")

    def native(self, dtype: torch.dtype, *, cooperative: bool) -> _C.Rule:
        constants: dict[str, object] = {}
        for stage in (self.momentum, self.penalty, self.compensation):
            if stage is not None:
                constants |= stage.constants()
        return _C.Rule(
            master=tensors.MASTER_DTYPES[dtype],
            access=self.access.value,
            guard=self.guard.value,
            elastic=self.elastic,
            own_v=self.own_v,
            cooperative=cooperative,
            **constants,
        )


def check_state(state: Tensor, x: Tensor, rows: int) -> None:
    """Raises: ValueError if gap_state does not hold `rows` rows beside x."""
    if state.dtype is not torch.float64 or not state.is_contiguous() or state.device != x.device:
        raise ValueError(f"gap_state is {state.dtype} on {state.device}: contiguous float64 on {x.device} is needed")
    if state.numel() < rows * STATE_COLUMNS:
        raise ValueError(f"gap_state has shape {tuple(state.shape)}: at least [{rows}, {STATE_COLUMNS}] is needed")


def _names(names: set[str]) -> str:
    return " and ".join(sorted(names))
