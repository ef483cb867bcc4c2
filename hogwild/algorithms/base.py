"""What an algorithm is: a generator per worker, and the names of what it keeps.

The generator is the worker's column of the paper's pseudo-code. It sees one view `w` of the world and yields in three
places only: where time passes (`Gradient`), where all must meet (`BARRIER`), and where a worker waits for the next
update (`UPDATE`). The process driver and the simulator
run the very same text. It knows no process, no thread and no clock; what must survive a restart lies in its buffers,
nothing in local variables, so it can always be started again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from hogwild.rules import Compensation, Gap, Momentum, Topology

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

    The answer is a list of tensors, one a parameter. With `cancel` a new version of the master makes it worthless: a
    driver that can breaks it off there, and begins the worker's text again with the same batch.
    """

    at: Tensor
    cancel: bool = False


@dataclass(frozen=True)
class Barrier:
    """Request: go on when every worker of this round has come here. The answer is None."""


@dataclass(frozen=True)
class Update:
    """Request: go on when the update is there that takes the gradient gathered last. The answer is None."""


BARRIER, UPDATE = Barrier(), Update()
Gradients = Sequence["Tensor | None"]
T = TypeVar("T")
OfDelay = Callable[[int], T]
Place = str | tuple[str, int]  # a buffer: the shared or own one of that name, or that rank's
Steps = Generator["Gradient | Barrier | Update", Any, None]


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

    def buffer(self, place: Place) -> Tensor:
        """A buffer [n]: the shared one of that name, the own one, or (name, rank): that worker's."""

    @property
    def replica(self) -> Tensor:
        """This worker's own model [n]."""

    @property
    def steps(self) -> int:
        """Updates of this worker so far."""

    @property
    def round(self) -> int:
        """Rounds that this worker's synchronous algorithm has completed."""

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
        onto: str = "x",
        part: tuple[int, int] | None = None,
    ) -> None:
        """x <- x - lr * rule(g), in one pass that leaves the next snapshot behind (csrc/push.h).

        `lr`: the learning rate as a function of this push's delay, in place of w.lr; where it is None the gradient is
        dropped, and the snapshot read afresh. `scale`: a factor on g, likewise. `clip`: the largest norm of g, 0 for
        any. `onto`: the own replica in place of x. `part`: only these elements.
        """

    def gather(
        self,
        g: Gradients,
        count: int,
        *,
        momentum: Momentum | None = None,
        scale: OfDelay[float] | None = None,
        lr: float | None = None,
        max_delay: int | None = None,
        waits: bool = False,
    ) -> None:
        """sum <- sum + g;  with the `count`-th one  x <- x - lr * rule(sum / count),  sum <- 0,  one version more.

        Leaves the next snapshot behind. `scale`: a factor on g as a function of its delay, the versions since its
        snapshot. A g older than `max_delay` is dropped, and its batch begun again. `waits`: UPDATE follows.
        """

    def deposit(self, name: str, g: Gradients) -> bool:
        """Own replica of `name` <- g: what the others will read after the next barrier. False if g is not finite."""

    def push_mean(self, name: str, *, momentum: Momentum | None = None) -> None:
        """x <- x - lr * rule(mean_j name_j), each worker of the round its own share of the elements."""

    # ---- own replicas (hogwild/drivers/replicas.py) ---------------------------------------------------------------

    def adopt(self) -> None:
        """replica, base <- x."""

    def read(self) -> None:
        """snapshot <- replica."""

    def step(
        self,
        g: Gradients,
        *,
        rate: float = 1.0,
        momentum: Momentum | None = None,
        alpha: float = 0.0,
        center: Place = "x",
    ) -> None:
        """replica <- replica - rate * lr * rule(g), never stale. With alpha, in the same pass, the exchange of
        `elastic`, whose d is taken before the step.
        """

    def elastic(self, alpha: float, near: Place = "replica", center: Place = "x") -> None:
        """d = alpha (near - center);  near <- near - d;  center <- center + d."""

    def deliver(self) -> None:
        """x <- x + (replica - base);  replica, base <- x."""

    @property
    def present(self) -> list[int]:
        """The ranks that came to the last barrier."""

    def exchanges(self, period: int) -> int:
        """How many periods of `period` steps all workers together have completed."""

    def parts(self, place: Place) -> list[Tensor]:
        """A buffer as one view per parameter, in the shape of a gradient."""

    def combine(self, to: Place, terms: Mapping[Place, float], *, share: bool = False) -> None:
        """`to` <- sum of weight * buffer, in one pass; `to` may be one of them. `share`: each worker of the round its
        own part of the elements.
        """

    def exclusive(self) -> AbstractContextManager[None]:
        """What is done inside, no other worker does at the same time."""

    def mix(self, to: str, name: str, topology: Topology, *, correction: str | None = None) -> None:
        """Own `to` <- sum_j W_ij name_j over this round's neighbours, as fluxes name_i + sum_j W_ij (name_j - name_i).

        The weight of a neighbour that is not there stays with the worker. The fluxes are added to `correction` too.
        """

    def peer(self, topology: Topology) -> int:
        """The other end of a random edge at this worker; -1 if it has none to draw."""

    def average_with(self, peer: int, order: str, name: str = "replica") -> None:
        """Own `name`, the peer's `name` <- their mean, chunk by chunk under the locks of both; order "skip": a chunk
        that somebody else is at is left out, "blocking": waited for.
        """

    def admm(self, g: Gradients, rho: float) -> None:
        """One tick of round-robin ADMM: multiplier, replica and x (csrc/mix.h)."""

    def debias(self) -> None:
        """z <- replica / own mass (push-sum)."""

    @property
    def mass(self) -> float:
        """The own mass of push-sum."""

    def collect(self) -> None:
        """What lies in the own mailbox goes into replica and own mass."""

    def send(self, peer: int, *, floor: float, ceiling: float) -> None:
        """Half of replica and own mass into the peer's mailbox, unless the own mass is below `floor` or that mailbox
        holds more than `ceiling`.
        """

    def draw_block(self, size: int) -> tuple[int, int]:
        """The elements [start, stop) of a random run of `size` parameters of one tensor."""

    def draw(self, count: int) -> int:
        """A number below `count`, uniform; a function of seed, rank and step."""


@dataclass(frozen=True)
class Algorithm(ABC):
    """A frozen dataclass whose fields are the algorithm's options; `worker` is its text."""

    name: ClassVar[str]
    summary: ClassVar[str]
    buffers: ClassVar[Mapping[str, Scope]]
    barriers_per_round: ClassVar[int] = 0  # 0: asynchronous
    counts_rounds: ClassVar[bool] = False  # its version counts rounds; else every worker's step
    max_workers: ClassVar[int | None] = None
    above_eigenvalue: ClassVar[float] = -1.0  # the smallest eigenvalue of its mixing matrix must lie above this
    follows_updates: ClassVar[bool] = False  # an update cancels gradients, or is waited for (UPDATE)

    @property
    def stability_rule(self) -> str | None:
        """Its linear stability theory, one of hogwild.theory.RULES; None if none is known."""
        return None

    @property
    def needs_snapshot(self) -> bool:
        """It compares x with what the worker read: it cannot read in place."""
        return False

    @property
    def numbers_pushes(self) -> bool:
        """Every push needs a number of its own: one lock, or the simulator."""
        return False

    def keeps(self) -> Mapping[str, Scope]:
        """The buffers that these options need: `buffers`, unless an option changes them."""
        return self.buffers

    def result(self) -> str:
        """The buffer that is the trained model: the mean of its copies is evaluated, saved and exported."""
        return "x"

    def graph(self) -> Topology | None:
        """Who averages with whom, if the algorithm knows neighbours; checked against the number of workers."""
        return None

    def gradients_per_update(self, workers: int) -> int:
        """How many gradients make one update. ValueError if the options do not fit that number of workers."""
        return workers if self.counts_rounds else 1

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
