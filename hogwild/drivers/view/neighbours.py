"""Averages between workers: with all neighbours in rounds, or in pairs without rounds."""

from __future__ import annotations

import functools
import math

from torch import Tensor

from hogwild import topology
from hogwild.algorithms.base import Gradients
from hogwild.drivers.view.buffers import Buffers
from hogwild.drivers.view.draws import Draws
from hogwild.drivers.view.rounds import Rounds
from hogwild.drivers.view.updates import Updates
from hogwild.kernels import diffuse
from hogwild.kernels.pair import Lags, pair_average
from hogwild.rules import Momentum, Topology
from hogwild.topology.matrices import Mixing

OF_AN_AVERAGE = 0.5  # time that an average takes, in units of a gradient and an average


@functools.lru_cache(maxsize=8)
def mixing(graph: Topology, workers: int) -> Mixing:
    return topology.mixing(graph.name, workers, weights=graph.weights, self_weight=graph.self_weight)


@functools.lru_cache(maxsize=1024)
def partners(graph: Topology, workers: int, rank: int) -> list[int]:
    """The workers with which worker `rank` may start a pair average."""
    found = mixing(graph, workers)
    if graph.active_side and (sides := found.sides()) is not None and sides[rank] == 1:
        return []
    return [other for i, j in found.edges() for own, other in ((i, j), (j, i)) if own == rank]


@functools.lru_cache(maxsize=8)
def continuous_momentum(graph: Topology, workers: int) -> tuple[float, float]:
    return mixing(graph, workers).continuous_momentum()


class Neighbours:
    """`mix` and `step_among` of hogwild.algorithms.base.View, after a barrier, and pair averages without rounds.

    A pair average takes the locks of both replicas, chunk by chunk.
    """

    def __init__(self, buffers: Buffers, updates: Updates, rounds: Rounds, draws: Draws) -> None:
        self._buffers = buffers
        self._updates = updates
        self._barriers, self._ledger = buffers.rounds, buffers.ledger
        self._rank = buffers.rank
        self._rounds = rounds
        self._draws = draws

    def mix(self, to: str, name: str, topology: Topology, *, correction: str | None = None) -> None:
        """Leaves out neighbours that are not in this round; the mean over the present workers does not change."""
        buffers = self._buffers
        neighbours, weights = self._row(name, topology)
        of_correction = None if correction is None else buffers[correction]
        diffuse(buffers[to], buffers[name], neighbours, weights, correction=of_correction)

    def step_among(self, g: Gradients, name: str, topology: Topology, *, momentum: Momentum | None = None) -> None:
        """In one pass over memory. A gradient that is refused leaves out the step only."""
        among = self._row(name, topology)
        self._updates.push(g, momentum=momentum, onto="replica", is_fresh=True, among=among)

    def _row(self, name: str, topology: Topology) -> tuple[list[Tensor], list[float]]:
        """Buffers and weights of the neighbours that are in this round. Counts the bytes that come from them."""
        buffers, present = self._buffers, set(self._rounds.present)
        neighbours = mixing(topology, buffers.workers).neighbours(self._rank, self._rounds.round)
        row = [(j, weight) for j, weight in neighbours if j in present]
        buffers.traffic.add(buffers[name], len(row))
        return [buffers[name, j] for j, _ in row], [weight for _, weight in row]

    def peer(self, topology: Topology) -> int:
        ends = [end for end in partners(topology, self._buffers.workers, self._rank) if self._barriers.alive(end)]
        return ends[self._draws.draw(len(ends))] if ends else -1

    def average_with(self, peer: int, order: str, name: str = "replica", *, momentum: Topology | None = None) -> None:
        buffers, world = self._buffers, self._buffers.world
        if not buffers.declared[name].locks:
            raise ValueError(f"buffer {name!r} is declared without locks: workers average with Buffer(..., locks=True)")
        own = buffers[name]
        first, second = sorted((self._rank, peer))  # every worker takes the locks of a pair in this order
        locks = {} if own.is_cuda else {"locks_a": world.locks(first), "locks_b": world.locks(second)}
        done = pair_average(
            buffers[name, first],
            buffers[name, second],
            **locks,
            n_locks=0 if own.is_cuda else world.stripes,
            lags=None if momentum is None else self._lags(momentum, first, second),
            order=order,
        )
        self._ledger.count_exchange(self._rank, *done)
        buffers.traffic.add(own, 2 if momentum is None else 4)

    def _lags(self, graph: Topology, first: int, second: int) -> Lags:
        """The lags of both ends, each with the part of it that is gone after the time since that end's last event."""
        eta, beta = continuous_momentum(graph, self._buffers.workers)
        buffers, rests = self._buffers, {}
        for end in (first, second):
            elapsed = buffers["elapsed", end]
            rests[end] = -math.expm1(-2 * eta * (float(elapsed) + OF_AN_AVERAGE))
            elapsed.zero_()
        of_a, of_b = buffers["lag", first], buffers["lag", second]
        return Lags(of_a, of_b, rest_a=rests[first], rest_b=rests[second], gain=(beta - 0.5) / 2)
