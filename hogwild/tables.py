"""Tables: weights of embeddings, whose gradients have few rows. Their rules, their memory and the report of a push.

A table [rows, dim] has no snapshot: workers read it in place. A push updates the rows that a gradient touches, each
once, from the sum of the gradient's values for it (hogwild/kernels/rows.py). A rule states here, once, its state, its
stage of csrc/stages/momenta.h and its constants. docs/tables.md has the equations and the measurements.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from hogwild.adaptive import Adagrad, AdamW
from hogwild.momenta import HeavyBall, Momentum

if TYPE_CHECKING:
    from torch import Tensor

DECAYS = ("none", "lazy", "catch-up")
ROW_DELAYS = 33  # places of a histogram of delays of rows, which count modulo 2^32


class State(NamedTuple):
    """One state buffer of a table.

    shape:   [rows, dim], [rows] or [1].
    dtype:   None: that of the table; "float64", "int64".
    starts:  the value of all its elements when nothing was pushed.
    """

    shape: tuple[int, ...]
    dtype: str | None = None
    starts: float = 0.0


@dataclass(frozen=True)
class TableRule:
    """The properties of a table's rule, with their defaults."""

    name: ClassVar[str]
    row_wise: ClassVar[bool] = False  # q is one number a row

    @property
    def catches_up(self) -> bool:
        """Whether a row makes up for the pushes that did not touch it."""
        return False

    def state(self, rows: int, dim: int) -> dict[str, State]:  # noqa: ARG002
        """The rule's state buffers for a table [rows, dim], by name."""
        return {}

    def stage(self) -> Momentum | None:
        """The momentum stage that a row goes through."""
        return None

    def constants(self) -> dict[str, object]:
        """Its constants by their names in csrc/lists.h."""
        return {} if (stage := self.stage()) is None else stage.constants()

    def check(self) -> None:
        """Raises: ValueError for constants out of range."""
        if (stage := self.stage()) is not None:
            stage.check()


@dataclass(frozen=True)
class SparseSgd(TableRule):
    """x_r <- x_r - lr g_r"""

    name: ClassVar[str] = "sgd"


@dataclass(frozen=True)
class SparseMomentum(TableRule):
    """v_r <- m v_r + g_r;  x_r <- x_r - lr v_r.   v [rows, dim].

    Lazy: a row that a push does not touch keeps its v and its x. `catch_up`: it first makes up for the k pushes that
    did not touch it, as if each had pushed a gradient of zero with the current lr,

        x_r <- x_r - lr v_r m (1 - m^k) / (1 - m);   v_r <- m^k v_r;   last [rows] int64: 1 + the row's last push

    so that, after SparsePush.catch_up and under a constant lr, all rows are those of dense SGD with momentum.
    """

    name: ClassVar[str] = "momentum"

    momentum: float = 0.9
    catch_up: bool = False

    @property
    def catches_up(self) -> bool:
        return self.catch_up

    def state(self, rows: int, dim: int) -> dict[str, State]:
        last = {"last": State((rows,), "int64")} if self.catch_up else {}
        return {"v": State((rows, dim)), **last}

    def stage(self) -> Momentum:
        return HeavyBall(self.momentum)

    def check(self) -> None:
        if not 0 <= self.momentum < 1:
            raise ValueError(f"SparseMomentum has momentum {self.momentum}: 0 <= momentum < 1 is needed")


@dataclass(frozen=True)
class RowAdagrad(TableRule):
    """q_r <- q_r + mean_c g_rc^2;  x_r <- x_r - lr g_r / (sqrt(q_r) + eps).   q [rows].

    Adagrad with one step size a row, as in FBGEMM ("exact row-wise Adagrad") and PyTorch-BigGraph.
    """

    name: ClassVar[str] = "row-adagrad"
    row_wise: ClassVar[bool] = True

    eps: float = 1e-8

    def state(self, rows: int, dim: int) -> dict[str, State]:  # noqa: ARG002
        return {"q": State((rows,))}

    def constants(self) -> dict[str, object]:
        return {"eps": self.eps}

    def check(self) -> None:
        if not self.eps > 0:
            raise ValueError(f"RowAdagrad has eps {self.eps}: eps > 0 is needed, a gradient of a row may be zero")


@dataclass(frozen=True)
class SparseAdagrad(TableRule):
    """q_r <- q_r + g_r^2;  x_r <- x_r - lr g_r / (sqrt(q_r) + eps).   q [rows, dim], `initial` at first."""

    name: ClassVar[str] = "adagrad"

    eps: float = 1e-10
    initial: float = 0.0

    def state(self, rows: int, dim: int) -> dict[str, State]:
        return {"q": State((rows, dim), starts=self.initial)}

    def stage(self) -> Momentum:
        return Adagrad(eps=self.eps)

    def check(self) -> None:
        super().check()
        if not self.initial >= 0:
            raise ValueError(f"SparseAdagrad starts q at {self.initial}: initial >= 0 is needed")


@dataclass(frozen=True)
class SparseAdam(TableRule):
    """v_r <- b1 v_r + (1 - b1) g_r;  q_r <- b2 q_r + (1 - b2) g_r^2;  x_r <- x_r - lr (v_r / bc1) / (sqrt(q_r / bc2) +
    eps).   v, q [rows, dim].

    Lazy: a row that a push does not touch keeps its v, q and x. bc1 = 1 - b1^t and bc2 = 1 - b2^t count all pushes, t,
    as torch.optim.SparseAdam does.
    Deviates: torch.optim.SparseAdam adds eps to sqrt(q_r), not to sqrt(q_r / bc2).
    """

    name: ClassVar[str] = "adam"

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8

    def state(self, rows: int, dim: int) -> dict[str, State]:
        return {"v": State((rows, dim)), "q": State((rows, dim))}

    def stage(self) -> Momentum:
        return AdamW(beta1=self.beta1, beta2=self.beta2, eps=self.eps, decoupled=False)


TABLE_RULES: dict[str, type[TableRule]] = {
    rule.name: rule for rule in (RowAdagrad, SparseAdagrad, SparseSgd, SparseMomentum, SparseAdam)
}


def table_state(rule: TableRule, decay: str, rows: int, dim: int) -> dict[str, State]:
    """All state buffers of a table [rows, dim] under a rule and a kind of weight decay, by name: TableSegment.state.

    Decay of kind catch-up has two: log_decay [1], the sum of log(1 - lr wd) over all pushes, and decayed [rows], its
    value at the row's last push.
    """
    caught_up = {"decayed": State((rows,), "float64"), "log_decay": State((1,), "float64")}
    return {**rule.state(rows, dim), **(caught_up if decay == "catch-up" else {})}


def check_decay(rule: TableRule, decay: str, weight_decay: float) -> None:
    """Raises: ValueError for a kind of decay that does not exist or does not go with the rule or the weight decay."""
    if decay not in DECAYS:
        raise ValueError(f"decay is {decay!r}: expected one of {', '.join(map(repr, DECAYS))}")
    if not 0 <= weight_decay < math.inf:
        raise ValueError(f"weight_decay is {weight_decay}: expected a number >= 0")
    if decay == "none" and weight_decay:
        raise ValueError(f"weight_decay is {weight_decay}, but decay is 'none': choose 'lazy' or 'catch-up'")
    if decay == "catch-up" and rule.catches_up:
        raise ValueError("decay 'catch-up' and a momentum that catches up would move a row for each other: give one")


@dataclass(frozen=True)
class TableSegment:
    """One table in memory: x [rows, dim], its state buffers by name (`table_state`), and optionally its row versions.

    row_version:   [rows] int32, the pushes that touched each row, modulo 2^32; zero at first.
    lr_factor:     factor of the learning rate.   decay_factor: of the weight decay.
    name:          for messages.
    """

    x: Tensor
    state: Mapping[str, Tensor] = field(default_factory=dict)
    row_version: Tensor | None = None
    lr_factor: float = 1.0
    decay_factor: float = 1.0
    name: str = ""


SparseGradient = tuple["Tensor", "Tensor"]
"""(rows [k] int64, values [k, dim]) of one table, in any order and with duplicates."""
Gradients = Sequence[SparseGradient | None]
"""One per table; None: this push does not touch the table."""


class RowScan(NamedTuple):
    """What a push would see: `norm_sq`, the sum of squares of the summed rows of all tables, and `nonfinite`, the
    number of their elements that are NaN or infinite.
    """

    norm_sq: float
    nonfinite: int


class SparseStats(NamedTuple):
    """The report of one sparse push.

    applied:        False if Guard.PUSH refused it; then nothing was written.
    nonfinite:      elements of the summed rows that were NaN or infinite.
    step_sq:        sum of squared steps, without weight decay and `row_max_norm`.
    grad_norm:      norm of the scaled summed rows; NaN under Guard.ELEMENT.
    rows:           rows in the gradients.    unique_rows: different ones.
    row_delay_sum:  sum over the different rows of the pushes of others since they were read: row_version - seen.
    shared_rows:    different rows with a delay > 0.
    recovered:      locks with a dead holder.
    row_delays:     different rows by their delay, [ROW_DELAYS]: place 0 has those without one, place k those with a
                    delay from 2^(k - 1) to 2^k - 1.
    """

    applied: bool = True
    nonfinite: int = 0
    step_sq: float = 0.0
    grad_norm: float = math.nan
    rows: int = 0
    unique_rows: int = 0
    row_delay_sum: int = 0
    shared_rows: int = 0
    recovered: int = 0
    row_delays: Sequence[int] = (0,) * ROW_DELAYS
