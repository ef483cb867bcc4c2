"""What an algorithm may use: a worker's view of the world, its buffers by name and what can be done with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol, TypeVar

from hogwild.rules import Compensation, Gap, Momentum, Topology

if TYPE_CHECKING:
    from torch import Tensor

Gradients = Sequence["Tensor | None"]
T = TypeVar("T")
OfDelay = Callable[[int], T]
Place = str | tuple[str, int]  # a buffer: the shared or own one of that name, or that rank's


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
        momentum: Momentum | None = None,
        penalty: Gap | None = None,
        compensation: Compensation | None = None,
        onto: str = "x",
        part: tuple[int, int] | None = None,
    ) -> None:
        """x <- x - lr * rule(g), in one pass that leaves the next snapshot behind (csrc/push.h).

        `lr`: the learning rate as a function of this push's delay, in place of w.lr; where it is None the gradient is
        dropped, and the snapshot read afresh. `scale`: a factor on g, likewise. `onto`: the own
        replica, or another model of the worker's own, in place of x. `part`: only these elements.
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

    # ---- own replicas (hogwild/drivers/view/replicas.py) ----

    def adopt(self) -> None:
        """replica <- x."""

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
        """replica <- replica - lr * rule(g), never stale. `rate` multiplies the part of g in that and leaves the weight
        decay as it is; without momentum: replica <- replica - lr (rate g + wd replica). With alpha, in the same pass,
        the exchange of `elastic`; its d is taken before the step.
        """

    def elastic(self, alpha: float, near: Place = "replica", center: Place = "x") -> None:
        """d = alpha (near - center);  near <- near - d;  center <- center + d."""

    def spring(self, alpha: float, below: Place, above: Place) -> None:
        """The same between two buffers that are both shared. Uses the own buffers `flux` and `counter`."""

    def deliver(self) -> None:
        """x <- x + (replica - base);  replica, base <- x. Uses the own buffer `base`."""

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
        """Own `name`, the peer's `name` <- their mean, chunk by chunk under the locks of both (a buffer declared with
        `locks`); order "skip": a chunk that somebody else is at is left out, "blocking": waited for.
        """

    def admm(self, g: Gradients, rho: float) -> None:
        """One tick of round-robin ADMM: multiplier, replica and x (csrc/mix.h)."""

    @property
    def mass(self) -> float:
        """The own mass of push-sum. Kept, with that in the mailbox, in the own buffer `mass`: two float64."""

    def collect(self) -> None:
        """What lies in the own mailbox, the buffers `box` and `mass`, goes into replica and own mass."""

    def send(self, peer: int, *, floor: float, ceiling: float) -> None:
        """Half of replica and own mass into the peer's mailbox, unless the own mass is below `floor` or that mailbox
        holds more than `ceiling`.
        """

    def draw_block(self, size: int) -> tuple[int, int]:
        """The elements [start, stop) of a random run of `size` parameters of one tensor."""

    def draw(self, count: int) -> int:
        """A number below `count`, uniform; a function of seed, rank and step."""
