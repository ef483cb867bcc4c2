"""Rules: small frozen descriptions of the stages of a push. An algorithm chooses them and the push kernel executes
them.

The kernel's slots are decay -> compensation -> penalty -> momentum -> apply -> observe -> look-ahead (csrc/push.h). A
rule states the stage in each slot and its constants. The algorithm declares whether a stage's buffer is SHARED or per
WORKER. Each stage states here, once, its constants and the buffers that it needs; the kernels' checks, the native rule,
the drivers, the NumPy reference and the tests derive the rest. The momentum stages are in hogwild/momenta.py and
hogwild/adaptive.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypedDict

from hogwild.adaptive import *  # noqa: F403  momentum stages are rules too
from hogwild.momenta import *  # noqa: F403
from hogwild.momenta import Momentum as Momentum
from hogwild.momenta import look_ahead as look_ahead


class _NeededScalars(TypedDict):
    lr: float
    pushes: int
    lr_max: float


class Counts(TypedDict, total=False):
    """The keywords of a push that count earlier pushes into its buffers: see Scalars."""

    first_step: bool
    v_pushes: int
    q_pushes: int


class Scalars(_NeededScalars, Counts, total=False):
    """The keywords of a push. `lr`, `pushes` and `lr_max` are required; the defaults of the others have no effect.

    lr            learning rate
    pushes        pushes to this master before this one. Smega2 and OrMo use it to decide when to flush: it must be
                  unique
    lr_max        the largest learning rate so far
    weight_decay  wd
    first_step    nothing was pushed into v yet (torch_first_step)
    v_pushes      pushes that v has absorbed before this one, refused ones not counted (AdamW); the default, `pushes`,
                  is that of a shared buffer, and a worker's own buffer has its own count
    q_pushes      likewise into q
    scale         factor of the gradient (1)
    clip          largest L2 norm of the gradient, over all segments and after `scale`; 0: no limit
    delay         pushes since the snapshot (OrMo)
    alpha         the share of their distance that x and the center each move; 0: it is only measured
    start, stop   only elements [start, stop) of the flat buffers are touched; None: from the first, to the last
    """

    weight_decay: float
    scale: float
    clip: float
    delay: int
    alpha: float
    start: int | None
    stop: int | None


class Access(str, Enum):
    """The memory access of concurrent pushes (docs/memory-model.md)."""

    RACING = "racing"
    ATOMIC = "atomic"
    STRIPED = "striped"
    LOCKED = "locked"


class Guard(str, Enum):
    """The response to a non-finite gradient element: PUSH refuses the whole push, ELEMENT omits only that element."""

    PUSH = "push"
    ELEMENT = "element"


@dataclass(frozen=True)
class Gap:
    """The gap penalty (Barkai et al. 2020, arXiv:1909.10802): d = g / G,  G = 1 + |x - snapshot| / C.

    unit:       the vector u of which C is a running size: "v" the momentum before this gradient (g without momentum),
                C = r (sqrt(s / (1 - Gamma^t)) + eps); "g" the gradient, likewise; "step" the steps lr direction made by
                earlier pushes, C = sqrt(s / (1 - Gamma^(t-1))) + eps.
    reference:  r, for the units v and g: "lr_max", the largest learning rate so far, or "lr", the current one.
    level:      "element": one G and one s per element (buffer s, SHARED). "layer", "global": one G per segment, or one
                for all, G = 1 + ||x - snapshot|| / C, C = r sqrt(mean ||u||^2 / (1 - Gamma^t)), from a first pass over
                x and snapshot; no s, but the buffer gap_state [segments, 3], float64.
    size:       the level of C; None: that of G. "layer", "global" under level "element", ours and not the paper's: one
                C per segment, or one for all, C = r (sqrt(mean ||u||^2 / n / (1 - Gamma^t)) + eps) with n the number of
                elements of u; no s, but gap_state, and no first pass.
    lagged:     layer and global, ours and not the paper's: no first pass; G is computed from the gap that the previous
                push measured. With gap_state per WORKER that is this worker's previous push.
    """

    decay: float = 0.999
    eps: float = 1e-8
    penalize_weight_decay: bool = True
    unit: str = "v"
    reference: str = "lr_max"
    level: str = "element"
    size: str | None = None
    lagged: bool = False

    @property
    def rows(self) -> str | None:
        """The range of a row of gap_state, "layer" or "global"; None: G and C are element-wise, from s."""
        level = self.size or self.level
        return None if level == "element" else level

    @property
    def buffers(self) -> tuple[str, ...]:
        """Its buffer, besides x and the snapshot."""
        return ("gap_state",) if self.rows else ("s",)

    def constants(self) -> dict[str, object]:
        """Its constants by their names in csrc/lists.h."""
        element = "gap_of_steps" if self.unit == "step" else "gap"
        return {
            "penalty": "norm_gap" if self.level != "element" else "sized_gap" if self.rows else element,
            "unit": self.unit,
            "gap_decay": self.decay,
            "gap_eps": self.eps,
            "penalize_decay": self.penalize_weight_decay,
            "gap_per_segment": self.rows == "layer",
            "gap_lagged": self.lagged,
        }

    def check(self) -> None:
        """Raises: ValueError for constants out of range."""
        if not (0 < self.decay < 1 and self.eps > 0):
            raise ValueError(f"Gap has decay {self.decay} and eps {self.eps}: 0 < decay < 1 and eps > 0 are needed")
        _check_choice("Gap.unit", self.unit, ("v", "g", "step"))
        _check_choice("Gap.reference", self.reference, ("lr_max", "lr"))
        _check_choice("Gap.level", self.level, ("element", "layer", "global"))
        if self.size is not None:
            _check_choice("Gap.size", self.size, ("element", "layer", "global"))
            if self.level not in ("element", self.size):
                raise ValueError(f"Gap.size is {self.size!r} under level {self.level!r}: there C is of that level")
        if self.lagged and self.level == "element":
            raise ValueError("Gap.lagged is for the levels layer and global: the element level needs no first pass")


@dataclass(frozen=True)
class Compensation:
    """Delay compensation (DC-ASGD; Zheng et al. 2017, arXiv:1609.08326): g <- g + lam g^2 (x - snapshot).

    power:     2, or 1 for lam |g| in place of lam g^2, as a public version of the authors' code has it.
    adaptive:  ms <- decay ms + (1 - decay) g^2, and lam / sqrt(ms + eps) in place of lam; buffer ms (WORKER).
    """

    lam: float = 2.0
    power: int = 2
    adaptive: bool = False
    decay: float = 0.95
    eps: float = 1e-7

    @property
    def buffers(self) -> tuple[str, ...]:
        """Its buffer, besides x and the snapshot."""
        return ("ms",) if self.adaptive else ()

    def constants(self) -> dict[str, object]:
        """Its constants by their names in csrc/lists.h."""
        return {
            "compensation": "adaptive" if self.adaptive else "constant",
            "lam": self.lam,
            "power_one": self.power == 1,
            "ms_decay": self.decay,
            "ms_eps": self.eps,
        }

    def check(self) -> None:
        """Raises: ValueError for constants out of range."""
        _check_choice("Compensation.power", self.power, (1, 2))
        if not (0 <= self.decay < 1 and self.eps > 0):
            raise ValueError(
                f"Compensation has decay {self.decay} and eps {self.eps}: 0 <= decay < 1 and eps > 0 are needed"
            )


@dataclass(frozen=True)
class Topology:
    """The graph of the averages between workers (hogwild.topology.mixing), by name or file, and the weights of its
    edges.

    active_side: for pair averages only; the graph is then bipartite, and only the workers of one side start averages.
    """

    name: str = "ring"
    weights: str = "uniform"
    self_weight: float | None = None
    active_side: bool = False


def buffers_of(
    momentum: Momentum | None, penalty: Gap | None = None, compensation: Compensation | None = None
) -> tuple[str, ...]:
    """The buffers that a push with these stages works on, besides x and the snapshot."""
    return tuple(name for stage in (momentum, penalty, compensation) if stage is not None for name in stage.buffers)


def needs_snapshot(
    momentum: Momentum | None, penalty: Gap | None = None, compensation: Compensation | None = None
) -> bool:
    """Whether a push with these stages always reads or writes a snapshot."""
    return penalty is not None or compensation is not None or (momentum is not None and momentum.needs_snapshot)


def _check_choice(name: str, value: object, choices: tuple[object, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} is {value!r}: expected one of {', '.join(map(repr, choices))}")
