"""What an algorithm is: a generator per worker, and declarations of the buffers that it keeps.

The generator is the worker's column of the paper's pseudo-code. It sees one view `w` of the world and yields in three
places only: where time passes (`Gradient`), where all must meet (`BARRIER`), and where a worker waits for the next
update (`UPDATE`). The process driver and the simulator run the very same text. It knows no process, no thread and no
clock; what must survive a restart lies in its buffers, nothing in local variables, so it can always be started again.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from hogwild.algorithms.view import Gradients as Gradients
from hogwild.algorithms.view import OfDelay as OfDelay
from hogwild.algorithms.view import Place as Place
from hogwild.algorithms.view import View as View
from hogwild.buffers import GRADIENT as GRADIENT
from hogwild.buffers import MODEL as MODEL
from hogwild.buffers import REPLICA as REPLICA
from hogwild.buffers import SHARED as SHARED
from hogwild.buffers import SNAPSHOT as SNAPSHOT
from hogwild.buffers import WORKER as WORKER
from hogwild.buffers import Buffer as Buffer
from hogwild.buffers import Rows as Rows
from hogwild.buffers import Scope as Scope
from hogwild.rules import AdaptiveStage, Topology

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(slots=True)  # frozen, it would take twice as long to make one for every step
class Gradient:
    """Request: the gradient of one batch at the parameters `at` [n].

    The answer is a list of tensors, one a parameter; or None if the computation took longer than `within` seconds
    (virtual in the simulator, wall time in processes) and was given up. The worker keeps the ticket of that batch: the
    next Gradient request begins the same batch again. MindFlayer SGD (Maranjyan et al. 2024, arXiv:2410.04285) restarts
    so; where the time of a batch does not vary, a `within` below it is never met.

    The simulator gives up at that very moment, and needs a clock of durations. A process cannot be interrupted within
    a forward or backward pass: it compares times between the two, which saves the backward pass, and after both. Time
    is counted from when the batch is drawn; on a GPU each comparison waits for the device.

    With `cancel` a new version of the master makes the gradient worthless: a driver that can breaks it off there, and
    begins the worker's text again with the same batch.
    """

    at: Tensor
    cancel: bool = False
    within: float | None = None

    def __post_init__(self) -> None:
        if self.within is not None and not self.within > 0:
            raise ValueError(f"within is {self.within}: expected seconds > 0, or None to wait for every gradient")


@dataclass(frozen=True)
class Barrier:
    """Request: go on when every worker of this round has come here. The answer is None.

    In two halves, ARRIVE and WAIT: a worker arrives, computes gradients meanwhile, and waits later until all others
    have arrived at the barrier at which it arrived last. A WAIT before the first ARRIVE waits for nothing. In the
    simulator what a worker reads right after a WAIT has travelled since the last of them arrived.
    """

    arrives: bool = True
    waits: bool = True


@dataclass(frozen=True)
class Update:
    """Request: go on when the update is there that takes the gradient gathered last. The answer is None."""


BARRIER, ARRIVE, WAIT, UPDATE = Barrier(), Barrier(waits=False), Barrier(arrives=False), Update()
T = TypeVar("T")
Steps = Generator["Gradient | Barrier | Update", Any, None]


@dataclass(frozen=True)
class Algorithm(ABC):
    """A frozen dataclass whose fields are the algorithm's options; `worker` is its text."""

    name: ClassVar[str]
    summary: ClassVar[str]
    buffers: ClassVar[Mapping[str, Buffer]]  # x, shared by all, among them
    barriers_per_round: ClassVar[int] = 0  # 0: asynchronous
    counts_rounds: ClassVar[bool] = False  # its version counts rounds; else every worker's step
    max_workers: ClassVar[int | None] = None
    clip: ClassVar[float] = 0.0  # the largest norm of a gradient, unless the run says another; 0: any
    takes_groups: ClassVar[bool] = True  # lr and weight decay act in pushes alone, so a parameter can have its own
    refuses: ClassVar[Mapping[str, str]] = {}  # options of other algorithms that make no sense here -> why
    above_eigenvalue: ClassVar[float] = -1.0  # the smallest eigenvalue of its mixing matrix must lie above this
    stands_still: ClassVar[bool] = False  # x, while workers compute gradients at it: it changes between barriers only
    follows_updates: ClassVar[bool] = False  # an update cancels gradients, or is waited for (UPDATE)

    @property
    def lr(self) -> float:
        """The learning rate, unless the run says another; 0: the data set's, which is for SGD."""
        return 0.0

    @property
    def no_decay(self) -> str:
        """The kinds of parameters without weight decay, unless the run says others: none, bias, norm or bias,norm."""
        return "none"

    @property
    def stability_rule(self) -> str | None:
        """Its linear stability theory, one of hogwild.theory.LOOPS; None if none is known."""
        return None

    def adaptive(self) -> AdaptiveStage | None:
        """The adaptive rule of its pushes onto x, which takes the scale of the gradients out; None for other rules. If
        it has a running square q, `stability_rule` is the theory for a q that is held fixed.
        """
        return None

    @property
    def needs_snapshot(self) -> bool:
        """It compares x with what the worker read: it cannot read in place."""
        return False

    @property
    def takes_tables(self) -> bool:
        """Every gradient is one push onto x, with which the rows of tables can go (hogwild.tables)."""
        waits = self.barriers_per_round or self.counts_rounds or self.follows_updates
        kept = self.keeps()
        return not waits and "sum" not in kept and all(b.scope is not Scope.REPLICA for b in kept.values())

    @property
    def table_rule(self) -> str:
        """The rule of tables, unless the run says another: a name in hogwild.tables.TABLE_RULES."""
        return "momentum" if getattr(self, "momentum", 0.0) else "sgd"

    @property
    def numbers_pushes(self) -> bool:
        """Every push needs a number of its own: one lock, or the simulator."""
        return False

    def keeps(self) -> Mapping[str, Buffer]:
        """The buffers that these options need: `buffers`, unless an option changes them."""
        return self.buffers

    def result(self) -> str:
        """The buffer that is the trained model: the mean of its copies is evaluated, saved and exported."""
        return "x"

    def graph(self) -> Topology | None:
        """The graph of workers that average with each other; None without one. Checked against their number."""
        return None

    def gradients_per_update(self, workers: int) -> int:
        """How many gradients make one update. ValueError if the options do not fit that number of workers."""
        return workers if self.counts_rounds else 1

    def remark(self, pushes: Sequence[int]) -> str | None:
        """A line for the end of a run in which the workers made so many pushes, or own steps; None if there is nothing
        to say. Here: that no worker came to an exchange, with which alone its steps reach the result.
        """
        period, most = getattr(self, "period", 1), max(pushes, default=0)
        if not isinstance(period, int) or not 0 < most < period or self.result() == "replica":
            return None
        return (
            f"workers exchange every {period} own steps, and none made more than {most}: the result has nothing of "
            "them, or not all. Train for longer, or give a shorter --period"
        )

    @abstractmethod
    def worker(self, w: View) -> Steps:
        """The steps of one worker, for ever."""

    @classmethod
    def about(cls) -> str:
        """One line about the class: its own `summary`, else the first line of its docstring, else its name."""
        written = inspect.cleandoc(cls.__doc__ or "")
        is_generated = written.startswith(f"{cls.__name__}(")  # by dataclass, where there is no docstring
        return str(vars(cls).get("summary") or ("" if is_generated else written.partition("\n")[0]) or cls.__name__)

    @classmethod
    def options(cls) -> dict[str, Any]:
        """Option name -> dataclass field, as the command line offers them."""
        return {f.name: f for f in fields(cls)}


NOT_NEGATIVE = (lambda value: value >= 0, "an integer >= 0")
BELOW_ONE = (lambda value: 0 <= value < 1, "a number, 0 <= number < 1")


def option(
    default: T,
    help: str,
    *,
    choices: Sequence[T] | None = None,
    refused: Mapping[str, str] | None = None,
    check: tuple[Callable[[Any], bool], str] | None = None,
) -> T:
    """A dataclass field that the command line shows with this help and holds to this check. `refused`: reasons for
    which a value that other algorithms allow is no choice here.
    """
    metadata = {"help": help, "choices": choices, "refused": refused or {}, "check": check}
    result: T = field(default=default, metadata=metadata)
    return result


def momentum_option(default: float, help: str = "momentum factor m") -> float:
    return option(default, help, check=BELOW_ONE)


def dampening_option() -> float:
    return option(0.0, "the gradient enters v with the factor 1 - d", check=BELOW_ONE)


def first_step_option() -> str:
    return option("torch", "the first update of a buffer", choices=("torch", "damped"))


def beta1_option() -> float:
    return option(0.9, "weight b1 of the old v in the direction of an adaptive step", check=BELOW_ONE)


def beta2_option(default: float, help: str = "decay b2 of the running square q") -> float:
    return option(default, help, check=BELOW_ONE)
