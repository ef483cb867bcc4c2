"""What an algorithm is: a generator per worker, and the names of what it keeps.

The generator is the worker's column of the paper's pseudo-code. It sees one view `w` of the world and yields in two
places only: where time passes (`Gradient`) and where all must meet (`BARRIER`). The process driver and the simulator
run the very same text. It knows no process, no thread and no clock; what must survive a restart lies in its buffers,
nothing in local variables, so it can always be started again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from hogwild.rules import Compensation, Gap, Momentum

if TYPE_CHECKING:
    from torch import Tensor


class Scope(str, Enum):
    """Who may write a buffer, and how many there are."""

    SHARED = "shared"  # one, every worker writes
    WORKER = "worker"  # one per worker, only its owner touches it
    REPLICA = "replica"  # one per worker, its owner writes, the others may read or average


SHARED, WORKER, REPLICA = Scope.SHARED, Scope.WORKER, Scope.REPLICA


@dataclass(frozen=True)
class Gradient:
    """Request: the gradient of one batch at the parameters `at` [n].

    The answer is a list of tensors, one a parameter.
    """

    at: Tensor


@dataclass(frozen=True)
class Barrier:
    """Request: go on when every worker of this round has come here. The answer is None."""


BARRIER = Barrier()
Gradients = Sequence["Tensor | None"]
T = TypeVar("T")
OfDelay = Callable[[int], T]
Steps = Generator["Gradient | Barrier", Any, None]


class View(Protocol):
    """A worker's view of the world: what an algorithm may use. Both drivers provide the same one."""

    rank: int
    workers: int
    lr: float

    @property
    def x(self) -> Tensor:
        """The master [n]."""

    @property
    def snapshot(self) -> Tensor:
        """The master as this worker last read it [n]; with in-place reads, the master itself."""

    def pull(self, momentum: Momentum | None = None) -> None:
        """snapshot <- x, or where that rule looks ahead to."""

    def push(
        self,
        g: Gradients,
        *,
        lr: OfDelay[float | None] | None = None,
        scale: OfDelay[float] | None = None,
        clip: float = 0.0,
        momentum: Momentum | None = None,
        penalty: Gap | None = None,
        compensation: Compensation | None = None,
    ) -> None:
        """x <- x - lr * rule(g), in one pass that leaves the next snapshot behind (csrc/push.h).

        `lr`: the learning rate as a function of this push's delay, in place of w.lr; where it is None the gradient is
        dropped, and the snapshot read afresh. `scale`: a factor on g, likewise. `clip`: the largest norm of g, 0 for
        any.
        """

    def deposit(self, name: str, g: Gradients) -> None:
        """Own replica of `name` <- g: what the others will read after the next barrier."""

    def push_mean(self, name: str, *, momentum: Momentum | None = None) -> None:
        """x <- x - lr * rule(mean_j name_j), each worker of the round its own share of the elements."""


@dataclass(frozen=True)
class Algorithm(ABC):
    """A frozen dataclass whose fields are the algorithm's options; `worker` is its text."""

    name: ClassVar[str]
    summary: ClassVar[str]
    buffers: ClassVar[Mapping[str, Scope]]
    barriers_per_round: ClassVar[int] = 0  # 0: asynchronous
    stability_rule: ClassVar[str | None] = None  # its linear stability theory (hogwild.theory.stability), if known
    needs_snapshot: ClassVar[bool] = False  # compares x with what the worker read: cannot read in place
    max_workers: ClassVar[int | None] = None
    numbers_pushes: ClassVar[bool] = False  # every push needs a number of its own: one lock, or the simulator

    def keeps(self) -> Mapping[str, Scope]:
        """The buffers that these options need: `buffers`, unless an option changes them."""
        return self.buffers

    @abstractmethod
    def worker(self, w: View) -> Steps:
        """The steps of one worker, for ever."""

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
    check: tuple[Callable[[Any], bool], str] | None = None,
) -> T:
    """A dataclass field that the command line shows with this help and holds to this check."""
    result: T = field(default=default, metadata={"help": help, "choices": choices, "check": check})
    return result


def momentum_option(default: float, help: str = "momentum factor m") -> float:
    return option(default, help, check=BELOW_ONE)


def dampening_option() -> float:
    return option(0.0, "the gradient enters v with the factor 1 - d", check=BELOW_ONE)


def first_step_option() -> str:
    return option("torch", "the first update of a buffer", choices=("torch", "damped"))
