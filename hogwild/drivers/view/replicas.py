"""What a worker does with replicas: its own step, and the ways of averaging with a center or with its peers."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext

from torch import Tensor

from hogwild import topology
from hogwild.algorithms.base import Place
from hogwild.drivers.view.buffers import Buffers
from hogwild.kernels import copy, diffuse, weighted_sum
from hogwild.kernels.exchange import Exchange
from hogwild.kernels.pair import pair_average
from hogwild.rules import Access, Topology
from hogwild.shared.devices import finish
from hogwild.shared.seeds import draw
from hogwild.topology.matrices import Mixing

OWN, BOX = 0, 1  # a worker's mass, and that in its mailbox
ALIGNED = 32  # elements: shares of a flat buffer begin on 128-byte boundaries


@functools.lru_cache(maxsize=8)
def mixing(graph: Topology, workers: int) -> Mixing:
    return topology.mixing(graph.name, workers, weights=graph.weights, self_weight=graph.self_weight)


@functools.lru_cache(maxsize=1024)
def partners(graph: Topology, workers: int, rank: int) -> list[int]:
    """Whom worker `rank` may begin a pair average with."""
    found = mixing(graph, workers)
    if graph.active_side and (sides := found.sides()) is not None and sides[rank] == 1:
        return []
    return [other for i, j in found.edges() for own, other in ((i, j), (j, i)) if own == rank]


class Replicas(Buffers):
    """The half of a worker's view that concerns replicas (see hogwild.algorithms.base.View).

    Exchanges with the center follow the access policy of the run; between barriers a worker writes its own buffers
    only; pair averages take the locks of both replicas, chunk by chunk.
    """

    @property
    def replica(self) -> Tensor:
        return self.buffer("replica")

    @property
    def steps(self) -> int:
        self.settle()
        return int(self.control.steps(self.rank))

    @property
    def round(self) -> int:
        return max(self.generation - 1, 0) // max(self.barriers_per_round, 1)

    def adopt(self) -> None:
        """replica <- x. Races with exchanges, element by element."""
        with self._center():
            copy(self.replica, self.buffer("x"))
        self.traffic.add(self.replica, 1)

    def read(self) -> None:
        """snapshot <- replica, which peers may be averaging meanwhile."""
        self.settle()
        self.control.pulled(self.rank)
        copy(self.buffer("snapshot"), self.replica)

    def elastic(self, alpha: float, near: Place = "replica", center: Place = "x") -> None:
        with self._center():
            recovered = self._exchange.elastic(self.buffer(near), self.buffer(center), alpha)
        self.control.count_exchange(self.rank, 0, 0, recovered)
        self.traffic.add(self.buffer(center), 2)

    def spring(self, alpha: float, below: Place, above: Place) -> None:
        """As additions on both sides: what others give either of them meanwhile is kept."""
        flux, counter = self.buffer("flux"), self.buffer("counter")
        with self._center():
            weighted_sum(flux, [self.buffer(below), self.buffer(above)], [alpha, -alpha])
            weighted_sum(counter, [flux], [-1.0])
            self._exchange.send(self.buffer(above), flux, 1.0)
            self._exchange.send(self.buffer(below), counter, 1.0)
        self.traffic.add(flux, 2)

    def deliver(self) -> None:
        with self._center():
            recovered = self._exchange.deliver(self.replica, self.buffer("base"), self.buffer("x"))
        self.control.count_exchange(self.rank, 0, 0, recovered)
        self.traffic.add(self.replica, 2)

    @property
    def present(self) -> list[int]:
        return list(self.control.participants(self.generation))

    def exchanges(self, period: int) -> int:
        self.settle()
        return sum(int(self.control.steps(rank)) // period for rank in range(self.workers))

    def parts(self, place: Place) -> list[Tensor]:
        return self.world.layout.views(self.buffer(place))

    def combine(self, to: Place, terms: Mapping[Place, float], *, share: bool = False) -> None:
        out, inputs = self.buffer(to), [self.buffer(place) for place in terms]
        start, stop = self.share() if share else (0, out.numel())
        if not share and list(terms.values()) == [1]:
            copy(out, inputs[0])
        elif start < stop:
            weighted_sum(out, inputs, list(terms.values()), start=start, stop=stop)
        if remote := sum(self._is_remote(place) for place in (to, *terms)):
            self.traffic.add(out, remote * (stop - start) / out.numel())

    def share(self) -> tuple[int, int]:
        """The elements that are this worker's part of what a round does to a shared buffer."""
        present, lines = self.present, -(-self.world.layout.n // ALIGNED)
        index, shares = present.index(self.rank), len(present)
        start, stop = lines * index // shares * ALIGNED, lines * (index + 1) // shares * ALIGNED
        return start, min(stop, self.world.layout.n)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        self.control.lock_model(self.rank)
        try:
            yield
            finish(self.buffer("x").device)  # before another worker may begin
        finally:
            self.control.unlock_model()

    def mix(self, to: str, name: str, graph: Topology, *, correction: str | None = None) -> None:
        """Also leaves out a neighbour that is not in this round, so that the mean of those present is kept."""
        present = set(self.control.participants(self.generation))
        row = [(j, w) for j, w in mixing(graph, self.workers).neighbours(self.rank, self.round) if j in present]
        diffuse(
            self.buffer(to),
            self.buffer(name),
            [self.buffer((name, j)) for j, _ in row],
            [w for _, w in row],
            correction=None if correction is None else self.buffer(correction),
        )
        self.traffic.add(self.buffer(to), len(row))

    def peer(self, graph: Topology) -> int:
        ends = [end for end in partners(graph, self.workers, self.rank) if self.control.alive(end)]
        return ends[self.draw(len(ends))] if ends else -1

    def average_with(self, peer: int, order: str, name: str = "replica") -> None:
        if not self.declared[name].locks:
            raise ValueError(f"buffer {name!r} is declared without locks: workers average with Buffer(..., locks=True)")
        own, places = self.buffer(name), [(self.world.locks(rank), rank) for rank in sorted((self.rank, peer))]
        done = pair_average(
            self.buffer((name, places[0][1])),
            self.buffer((name, places[1][1])),
            **({} if own.is_cuda else {"locks_a": places[0][0], "locks_b": places[1][0]}),
            n_locks=0 if own.is_cuda else self.world.stripes,
            order=order,
        )
        self.control.count_exchange(self.rank, *done)
        self.traffic.add(own, 2)

    @property
    def mass(self) -> float:
        return float(self.buffer("mass")[OWN])

    def collect(self) -> None:
        """What lies in the own mailbox goes into replica and own mass."""
        self._exchange.drain(self.replica, self.buffer("box"))
        mass = self.buffer("mass")
        mass[OWN] += mass[BOX]
        mass[BOX] = 0.0

    def send(self, peer: int, *, floor: float, ceiling: float) -> None:
        """Half of replica and own mass into the peer's mailbox, unless the own mass is below `floor` or that mailbox
        holds more than `ceiling`.
        """
        mass, theirs = self.buffer("mass"), self.buffer(("mass", peer))
        if mass[OWN] < floor or theirs[BOX] > ceiling or not self.control.alive(peer):
            return
        self._exchange.send(self.buffer(("box", peer)), self.replica, 0.5)
        mass[OWN] /= 2
        theirs[BOX] += mass[OWN]
        self.traffic.add(self.replica, 1)

    def draw_block(self, size: int) -> tuple[int, int]:
        """The elements [start, stop) of a run of `size` parameters, cut at the end of its tensor."""
        drawn = self.draw(self.world.layout.parameters)
        for offset, numel in self.world.layout.segments:
            if drawn < numel:
                start = drawn // size * size
                return offset + start, offset + min(start + size, numel)
            drawn -= numel
        raise AssertionError("a number below the parameters lies in one of their tensors")

    def draw(self, count: int) -> int:
        return draw(self.seed, self.rank, self.steps, count)

    def _is_remote(self, place: Place) -> bool:
        if isinstance(place, str):
            return self.is_shared(place)
        return place[1] != self.rank

    @functools.cached_property
    def _exchange(self) -> Exchange:
        """The exchanges under the access policy of the run."""
        striped = self.access is Access.STRIPED
        locks = (self.world.locks(), self.world.stripes) if striped else (0, 0)
        return Exchange(self.access, *locks)

    def _center(self) -> AbstractContextManager[None]:
        """The one lock of the `locked` policy around an exchange."""
        return self.exclusive() if self.access is Access.LOCKED else nullcontext()
