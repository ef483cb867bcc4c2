"""Mixing: the checked matrices of one period of averaging rounds, and the peers and weights of each worker in them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hogwild.errors import UsageError
from hogwild.theory.mixing import continuous_momentum

TOLERANCE = 1e-12

Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Mixing:
    """x_i <- sum_j W_ij x_j in every round, with W = rounds[round % len(rounds)]. Worker i applies row i.

    rounds: each [n, n], float64, non-negative, copied and read-only. They are doubly stochastic, which keeps the mean.
    With `is_push` only the columns sum to 1: this keeps the sum, and push-sum divides by a weight that is sent along.

    Raises UsageError if that does not hold to 1e-12, or if the rounds of one period do not connect all workers.
    """

    name: str
    rounds: tuple[Matrix, ...]
    is_push: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "rounds", tuple(np.array(matrix, dtype=np.float64) for matrix in self.rounds))
        for number, matrix in enumerate(self.rounds):
            _check(self.name, number, matrix, self.n, self.is_push)
            matrix.setflags(write=False)
        _check_connected(self.name, self.rounds)

    @property
    def n(self) -> int:
        """Workers."""
        return len(self.rounds[0])

    @property
    def symmetric(self) -> bool:
        """Whether every round equals its transpose: a worker gives each peer the weight that it takes from it."""
        return all(bool((abs(matrix - matrix.T) <= TOLERANCE).all()) for matrix in self.rounds)

    def neighbours(self, rank: int, number: int = 0) -> list[tuple[int, float]]:
        """(peer, W_rank,peer) for each peer from which worker `rank` takes the replica in round `number`."""
        return _entries(self.rounds[number % len(self.rounds)][rank], rank)

    def receivers(self, rank: int, number: int = 0) -> list[tuple[int, float]]:
        """(peer, W_peer,rank) for each peer that takes the replica of worker `rank` in round `number`."""
        return _entries(self.rounds[number % len(self.rounds)][:, rank], rank)

    def self_weight(self, rank: int, number: int = 0) -> float:
        """W_rank,rank of round `number`."""
        return float(self.rounds[number % len(self.rounds)][rank, rank])

    def edges(self) -> list[tuple[int, int]]:
        """All pairs (i, j), i < j, with a weight in either direction in some round; random pairs come from these."""
        return [(i, j) for i, j in np.argwhere(np.triu(_union(self.rounds), 1)).tolist()]

    def continuous_momentum(self) -> tuple[float, float]:
        """(eta, beta) of pair averages with continuous momentum along `edges`."""
        return continuous_momentum(self.edges(), self.n)

    def sides(self) -> list[int] | None:
        """0 or 1 for each worker, so that every edge joins the two sides; None if the graph is not bipartite."""
        links = _union(self.rounds)
        side = [-1] * self.n
        side[0] = 0
        for i in _reached(links):
            for j in np.flatnonzero(links[i]):
                if j != i and side[j] == side[i]:
                    return None
                side[j] = side[i] if j == i else 1 - side[i]
        return side


def _entries(weights: Matrix, rank: int) -> list[tuple[int, float]]:
    return [(peer, float(weights[peer])) for peer in np.flatnonzero(weights).tolist() if peer != rank]


def _union(rounds: tuple[Matrix, ...]) -> NDArray[np.bool_]:
    links = np.any([matrix > 0 for matrix in rounds], axis=0)
    return np.asarray(links | links.T)


def _reached(links: NDArray[np.bool_]) -> list[int]:
    """The workers that can be reached from worker 0, in breadth-first order."""
    order, waiting = [0], deque([0])
    is_new = np.arange(len(links)) > 0
    while waiting:
        found = np.flatnonzero(links[waiting.popleft()] & is_new).tolist()
        is_new[found] = False
        order += found
        waiting += found
    return order


def _check(name: str, number: int, matrix: Matrix, n: int, is_push: bool) -> None:
    where = f"topology {name}, round {number}"
    if matrix.ndim != 2 or matrix.shape != (n, n) or not n:
        raise UsageError(f"{where}: the matrix is {' x '.join(map(str, matrix.shape))}; it must be square")
    if not np.isfinite(matrix).all() or (matrix < 0).any():
        i, j = np.argwhere(~(matrix >= 0) | ~np.isfinite(matrix))[0]
        raise UsageError(f"{where}: weight {matrix[i, j]:g} in row {i}, column {j}; weights are finite and >= 0")
    for axis, line in ((0, "column"), (1, "row"))[: 1 if is_push else 2]:
        sums = matrix.sum(axis)
        worst = int(abs(sums - 1).argmax())
        if abs(sums[worst] - 1) > TOLERANCE:
            raise UsageError(f"{where}: {line} {worst} sums to {sums[worst]:.15g}, not to 1: the mean would drift")


def _check_connected(name: str, rounds: tuple[Matrix, ...]) -> None:
    """Raises UsageError unless the product of one period is primitive: its powers then converge to full averaging."""
    links = np.any([matrix > 0 for matrix in rounds], axis=0)
    n = len(links)
    for direction in (links, links.T):
        reached = _reached(direction)
        if len(reached) < n:
            lost = min(set(range(n)) - set(reached))
            raise UsageError(f"topology {name} is not connected: no links join worker {lost} and worker 0 both ways")
    product = np.linalg.multi_dot([np.eye(n), *reversed(rounds), np.eye(n)])
    if not product.diagonal().all() and np.sort(abs(np.linalg.eigvals(product)))[-2] > 1 - TOLERANCE:
        raise UsageError(f"topology {name} is periodic and never averages: give the workers a self-weight > 0")
