"""From a rule to the native one, and the checks that its parts and buffers fit each other."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hogwild import _C
from hogwild.kernels import tensors
from hogwild.rules import Access, Compensation, Dana, Gap, Guard, HeavyBall, Momentum, Nesterov, OrMo, Smega2

KINDS = {HeavyBall: "heavy_ball", Nesterov: "nesterov", Dana: "dana", Smega2: "smega2", OrMo: "ormo"}
STATE_COLUMNS = 3  # of gap_state: csrc/stages/gap_state.h


@dataclass(frozen=True)
class Rule:
    """The stages of a push with their constants."""

    penalty: Gap | None
    momentum: Momentum | None
    compensation: Compensation | None
    access: Access
    guard: Guard
    elastic: bool = False

    @property
    def has_rows(self) -> bool:
        """Whether G or C is of whole segments, from gap_state."""
        return self.penalty is not None and self.penalty.rows is not None

    @property
    def flushes(self) -> bool:
        """Every so many pushes the momentum owes all elements an update, also those without gradient."""
        return isinstance(self.momentum, Smega2 | OrMo)

    def check(self, buffers: dict[str, Tensor], gap_state: Tensor | None, segments: int) -> None:
        """Raises: ValueError for constants out of range, stages that exclude each other, missing or idle buffers."""
        self._check_constants()
        if self.penalty is not None and self.compensation is not None:
            raise ValueError("a Gap penalises the staleness that a Compensation corrects: give one of the two")
        if self.flushes and (self.penalty is not None or self.compensation is not None):
            raise ValueError(f"{type(self.momentum).__name__} goes with neither a Gap nor a Compensation")
        if self.elastic:
            self._check_elastic(buffers)
        needed = {"x", "center"} if self.elastic else {"x"}
        if self.momentum is not None:
            needed.add("v")
        if self.penalty is not None or self.compensation is not None or isinstance(self.momentum, Dana | Smega2 | OrMo):
            needed.add("snapshot")
        if self.penalty is not None and not self.has_rows:
            needed.add("s")
        if self.compensation is not None and self.compensation.adaptive:
            needed.add("ms")
        if isinstance(self.momentum, Dana):
            needed.add("v_sum")
        if isinstance(self.momentum, Smega2):
            needed.add("b")
        if missing := needed - buffers.keys():
            raise ValueError(f"this rule needs the buffers {', '.join(sorted(needed))}: {_names(missing)} missing")
        if idle := buffers.keys() - needed - {"snapshot"}:
            raise ValueError(
                f"this rule has no use for {_names(idle)}: leave them out, or give the stage they belong to"
            )
        self._check_state(gap_state, buffers["x"], segments)

    def _check_constants(self) -> None:
        gap, momentum, compensation = self.penalty, self.momentum, self.compensation
        if gap is not None:
            if not (0 < gap.decay < 1 and gap.eps > 0):
                raise ValueError(f"Gap has decay {gap.decay} and eps {gap.eps}: 0 < decay < 1 and eps > 0 are needed")
            _check_choice("Gap.unit", gap.unit, ("v", "g", "step"))
            _check_choice("Gap.reference", gap.reference, ("lr_max", "lr"))
            _check_choice("Gap.level", gap.level, ("element", "layer", "global"))
            if gap.size is not None:
                _check_choice("Gap.size", gap.size, ("element", "layer", "global"))
                if gap.level not in ("element", gap.size):
                    raise ValueError(f"Gap.size is {gap.size!r} under level {gap.level!r}: there C is of that level")
            if gap.lagged and gap.level == "element":
                raise ValueError("Gap.lagged is for the levels layer and global: the element level needs no first pass")
        if compensation is not None:
            _check_choice("Compensation.power", compensation.power, (1, 2))
            if not (0 <= compensation.decay < 1 and compensation.eps > 0):
                raise ValueError(
                    f"Compensation has decay {compensation.decay} and eps {compensation.eps}: "
                    "0 <= decay < 1 and eps > 0 are needed"
                )
        if isinstance(momentum, Smega2 | OrMo) and momentum.workers < 1:
            raise ValueError(f"{type(momentum).__name__} has {momentum.workers} workers: at least 1 is needed")
        if isinstance(momentum, OrMo) and not 0 <= momentum.momentum < 1:
            raise ValueError(f"OrMo has momentum {momentum.momentum}: 0 <= momentum < 1 is needed")

    def _check_elastic(self, buffers: dict[str, Tensor]) -> None:
        others: list[object] = [stage for stage in (self.penalty, self.compensation) if stage is not None]
        if self.momentum is not None and not isinstance(self.momentum, HeavyBall | Nesterov):
            others.append(self.momentum)
        if others:
            raise ValueError(f"a center goes with no, HeavyBall or Nesterov momentum alone: leave out {others[0]}")
        if "snapshot" in buffers:
            raise ValueError("with a center x is the worker's own replica: leave out the snapshot")

    def _check_state(self, state: Tensor | None, x: Tensor, segments: int) -> None:
        if (state is not None) != self.has_rows:
            raise ValueError("gap_state belongs to a Gap of level or size layer or global: give both or neither")
        if state is None or self.penalty is None:
            return
        rows = segments if self.penalty.rows == "layer" else 1
        if state.dtype is not torch.float64 or not state.is_contiguous() or state.device != x.device:
            raise ValueError(
                f"gap_state is {state.dtype} on {state.device}: contiguous float64 on {x.device} is needed"
            )
        if state.numel() < rows * STATE_COLUMNS:
            raise ValueError(f"gap_state has shape {tuple(state.shape)}: at least [{rows}, {STATE_COLUMNS}] is needed")

    def native(self, dtype: torch.dtype) -> _C.Rule:
        rule = _C.Rule()
        rule.master = tensors.MASTER_DTYPES[dtype]
        rule.access = self.access.value
        rule.guard = self.guard.value
        rule.elastic = self.elastic
        if self.momentum is not None:
            rule.momentum_kind = KINDS[type(self.momentum)]
            rule.momentum = self.momentum.momentum
        if isinstance(self.momentum, HeavyBall | Nesterov):
            rule.dampening = self.momentum.dampening
            rule.torch_first_step = self.momentum.torch_first_step
        if isinstance(self.momentum, Smega2 | OrMo):
            rule.workers = self.momentum.workers
        if (gap := self.penalty) is not None:
            element = "gap_of_steps" if gap.unit == "step" else "gap"
            rule.penalty = "norm_gap" if gap.level != "element" else "sized_gap" if gap.rows else element
            rule.gap_per_segment = gap.rows == "layer"
            rule.unit = gap.unit
            rule.gap_decay, rule.gap_eps = gap.decay, gap.eps
            rule.penalize_decay, rule.gap_lagged = gap.penalize_weight_decay, gap.lagged
        if (compensation := self.compensation) is not None:
            rule.compensation = "adaptive" if compensation.adaptive else "constant"
            rule.lam, rule.power_one = compensation.lam, compensation.power == 1
            rule.ms_decay, rule.ms_eps = compensation.decay, compensation.eps
        return rule


def _names(names: set[str]) -> str:
    return " and ".join(sorted(names))


def _check_choice(name: str, value: object, choices: tuple[object, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} is {value!r}: expected one of {', '.join(map(repr, choices))}")
