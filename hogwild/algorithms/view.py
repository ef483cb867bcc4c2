"""What an algorithm may use: a worker's view of the run, its buffers by name and what can be done with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol, TypeVar

from hogwild.rules import Compensation, Gap, Momentum, Topology

if TYPE_CHECKING:
    from torch import Tensor

Gradients = Sequence["Tensor | None"]
"""One for each parameter, until the algorithm asks for the next gradient: the memory is then used again."""
T = TypeVar("T")
OfDelay = Callable[[int], T]
Place = str | tuple[str, int]  # a buffer: the shared or own one of that name, or (name, rank): that worker's


class View(Protocol):
    """A worker's view of the run. The process driver and the simulator provide the same one.

    A verb that mutates says which buffers. Delays are counted in versions, learning rates are those of the step.
    """

    # ---- the worker, and where the run stands ----

    rank: int
    workers: int
    lr: float

    @property
    def version(self) -> int:
        """Updates that all workers together have applied, those before a resume included. Other workers may raise it
        at any time; this worker's own last push is always counted.
        """

    @property
    def now(self) -> float:
        """Seconds since the start of the run, never falling: virtual time (1 is the mean time of a gradient) in the
        simulator, wall time in processes, where all workers read the same clock. A resumed run begins again at 0.
        """

    @property
    def steps(self) -> int:
        """Updates of this worker so far."""

    @property
    def round(self) -> int:
        """Rounds that this worker's synchronous algorithm has completed."""

    @property
    def barriers(self) -> int:
        """The number of the last barrier, counted from 1 and alike for all workers. 0: none yet."""

    @property
    def present(self) -> list[int]:
        """The ranks of the workers that came to the last barrier. Without barriers, of those that take part: one that
        died does not, until it is replaced.
        """

    def draw(self, count: int) -> int:
        """A number below `count`, uniform; a function of seed, rank and step."""

    def draw_block(self, size: int) -> tuple[int, int]:
        """The elements [start, stop) of a random run of `size` parameters of one tensor; drawn as by `draw`."""

    # ---- buffers ----

    @property
    def x(self) -> Tensor:
        """The master [n]."""

    @property
    def snapshot(self) -> Tensor:
        """The master as this worker last read it [n]; with in-place reads, the master itself."""

    @property
    def replica(self) -> Tensor:
        """This worker's own model [n]."""

    def buffer(self, place: Place) -> Tensor:
        """Any buffer [n]: the shared one of that name, the own one, or (name, rank): that worker's."""

    def parts(self, place: Place) -> list[Tensor]:
        """A buffer as one view per parameter, in the shape of a gradient."""

    def combine(
        self,
        to: Place,
        terms: Mapping[Place, float],
        *,
        share: bool = False,
        part: tuple[int, int] | None = None,
    ) -> None:
        """`to` <- sum of weight * buffer, in one pass; `to` may be one of them. `share`: each worker of the round
        computes its own part of the elements. `part`: only the elements [start, stop).
        """

    def fragments(self, count: int) -> list[tuple[int, int]]:
        """The elements [start, stop) of each of `count` parts of a model, of nearly one size; some may be empty."""

    def exclusive(self) -> AbstractContextManager[None]:
        """A context that one worker at a time can be in: the run's one lock."""

    def submit(self, name: str, step: Callable[[View], None]) -> None:
        """The own buffer `name` goes to where the center is, and `step` is made there, for one worker at a time. On one
        machine: within `exclusive`. Between boxes: by the owner of each part of the center, who has `name` of this box.
        """

    # ---- one gradient, one update of the master ----

    def pull(self, momentum: Momentum | None = None, *, of: str = "x", own: bool = True) -> None:
        """snapshot <- x, or the point that this rule looks ahead to.  of="replica":  snapshot <- replica.
        own=False, in the round of a push_mean: the elements of the other workers; this worker's own are there already.
        """

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

    # ---- several gradients, one update ----

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
        of: str = "all",
    ) -> None:
        """sum <- sum + g;  with the `count`-th one  x <- x - lr * rule(sum / count),  sum <- 0,  one version more.

        Leaves the next snapshot behind. `scale`: a factor on g as a function of its delay, the versions since its
        snapshot. A g older than `max_delay` is dropped, and its batch begun again. `waits`: UPDATE follows.

        of="worker":  own sum <- own sum + g, own `taken` <- own `taken` + 1, replicas both, and the step is along the
        mean over workers of sum / taken. It is due once every worker that takes part has brought a gradient, and the
        harmonic mean of what they have taken is above count / N.
        """

    def gather_round(self, g: Gradients, *, fresh: bool = False) -> None:
        """Own row <- g, as a mean of the round's. Once no row is empty, a worker's first gradient in the round makes a
        step, x <- x - lr (mean of the rows + wd x), and the ones after it fill its next row; after N steps these become
        the rows. Uses `v`, `next`, `v_sum` and `state` (drivers/view/round_table.py).

        Leaves the next snapshot behind after a step, with `fresh` always; else the snapshot stays.
        """

    def deposit(self, name: str, g: Gradients) -> bool:
        """Own replica of `name` <- g, for the others to read after the next barrier. False if g is not finite: it is
        then left out of the round.
        """

    def push_mean(self, name: str, *, momentum: Momentum | None = None) -> None:
        """x <- x - lr * rule(mean_j name_j). Each worker of the round computes its own part of the elements."""

    # ---- own replicas, and a center ----

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

    def adopt(self) -> None:
        """replica <- x."""

    def deliver(self) -> None:
        """x <- x + (replica - base);  replica, base <- x. Uses the own buffer `base`."""

    def elastic(self, alpha: float, near: Place = "replica", center: Place = "x") -> None:
        """d = alpha (near - center);  near <- near - d;  center <- center + d.

        `near` by its name is written by this worker alone. As (name, rank) others may write it too: no addition to it
        is lost. That form uses the own buffers `flux` and `counter`.
        """

    def admm(self, g: Gradients, rho: float) -> None:
        """One tick of round-robin ADMM: multiplier, replica and x (csrc/mix.h). Uses the own buffer `g`."""

    # ---- own replicas, and the other workers' ----

    def mix(self, to: str, name: str, topology: Topology, *, correction: str | None = None) -> None:
        """Own `to` <- sum_j W_ij name_j over this round's neighbours, as fluxes name_i + sum_j W_ij (name_j - name_i).

        A worker keeps the weight of a neighbour that is absent. The fluxes are added to `correction` too.
        """

    def step_among(self, g: Gradients, name: str, topology: Topology, *, momentum: Momentum | None = None) -> None:
        """replica <- sum_j W_ij name_j  as by `mix`;  replica <- replica - lr * rule(g)  as by `step`. In one pass. Own
        `name` must equal the replica, from which its elements are taken.
        """

    def peer(self, topology: Topology) -> int:
        """The other end of a random edge at this worker; -1 if it has none to draw."""

    def average_with(self, peer: int, order: str, name: str = "replica", *, momentum: Topology | None = None) -> None:
        """Own `name`, the peer's `name` <- their mean, chunk by chunk under the locks of both (a buffer declared with
        `locks`). A chunk that another worker has locked is left out (order "skip") or waited for ("blocking").

        `momentum`: with the continuous momentum of A2CiD2 on that graph (csrc/pair.h). Uses both workers' buffers
        `lag`, declared with locks, and `elapsed`, a float64: time since the last average, which it sets to 0.
        """

    @property
    def mailbox(self) -> Mailbox:
        """The messages of push-sum."""


class Mailbox(Protocol):
    """Push-sum without rounds: a worker sends half of its replica and of its mass, the receiver adds both to its own.
    Uses the buffers `replica`, `box` and `mass` (two float64: the own mass, that in the mailbox). Call `collect` and
    `send` within `exclusive`.
    """

    @property
    def mass(self) -> float:
        """The worker's own mass w; replica / w is its estimate of the mean."""

    def collect(self) -> None:
        """replica, mass <- replica + box, mass + its mass;  the own mailbox is empty afterwards."""

    def send(self, peer: int, *, floor: float, ceiling: float) -> None:
        """Half of replica and own mass into the peer's mailbox, unless the own mass is below `floor`, that mailbox
        holds more than `ceiling`, or the peer has died.
        """
