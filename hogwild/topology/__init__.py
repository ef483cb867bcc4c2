"""Topologies: which workers average with each other. `mixing` makes the checked mixing matrices of a named topology."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hogwild.rules import Topology
    from hogwild.topology.matrices import Mixing

FIXED = {
    "ring": "i and i +- 1",
    "exponential": "i and i +- 2^k",
    "exponential-directed": "i takes from i - 2^k",
    "hypercube": "numbers that differ in one bit; 2^k workers",
    "complete": "everyone with everyone",
    "star": "everyone with worker 0",
    "bipartite": "every even worker with every odd one",
    "bipartite-exponential": "i +- 1 and i +- (1 + 2^k): only even with odd",
    "torus": "a grid closed in both directions, as square as possible; torus:RxC",
}
"""One matrix for all rounds."""

SEQUENCES = {
    "one-peer-exponential": "i takes from i - 2^k, another k each round",
    "one-peer-hypercube": "pairs that differ in bit k, another k each round",
    "random-pairs": "pairs drawn at random, others each round; one worker is idle if their number is odd",
    "base-2": "one peer a round; all have the exact mean after a period, for any number of workers",
    "base-3": "the same with two peers a round; base-K for every K >= 2",
}
"""One matrix per round; a worker has few peers in each."""

NAMES = (*FIXED, *SEQUENCES)
SPECS = f"{', '.join(NAMES)}, base-K, torus:RxC, file:PATH"
LARGEST = 1024
"""Workers of a topology: its matrices are [n, n] numbers, and its spectrum takes n^3 steps."""
WEIGHTS = ("uniform", "metropolis", "lazy", "out")


def mixing(name: str, n: int, weights: str = "uniform", self_weight: float | None = None) -> Mixing:
    """The mixing of `n` workers over the topology `name`, one of SPECS.

    With the degree d_i of worker i, 1 the identity and L the Laplacian of the graph, the matrix of a FIXED topology is

        uniform      1 - L / (1 + max_i d_i)             every edge weighs the same; 1 / (1 + d) on a regular graph
        metropolis   W_ij = 1 / (1 + max(d_i, d_j))      more mixing where degrees differ
        lazy         (1 + uniform) / 2                   no eigenvalue below 0: safe for D²
        out          W_ij = 1 / (1 + out-degree of j)    column stochastic only: for push-sum on any directed graph

    and `self_weight` a replaces it by 1 - s (1 - W), s such that the smallest diagonal entry is a.
    Sequences and a matrix from a file have their own weights.

    Source:  Metropolis weights from memory (Xiao and Boyd 2004); lazy is the form of exact diffusion.
    Raises:  UsageError (unknown name, an n for which the topology does not exist, weights that do not mix).
    """
    from hogwild.topology.catalog import build

    return build(name, n, weights, self_weight)


def check(graph: Topology, n: int, *, above: float = -1.0) -> None:
    """Raises UsageError if `n` workers cannot average over `graph`.

    above: lower bound of the smallest eigenvalue of its matrix: -1/3 for D². With a bound, one symmetric matrix for all
    rounds is needed too. A graph with an active side must be bipartite.
    """
    from hogwild.errors import UsageError
    from hogwild.topology.catalog import d2_safe

    found = mixing(graph.name, n, graph.weights, graph.self_weight)
    if graph.active_side and n > 1 and found.sides() is None:
        raise UsageError(f"topology {graph.name} of {n} workers is not bipartite: use bipartite, or another order")
    if above > -1:
        lowest, safe = d2_safe(found)
        if safe is not found:
            raise UsageError(
                f"topology {graph.name} of {n} workers with weights {graph.weights} has the eigenvalue {lowest:.6g}, "
                f"and D2 needs all above {above:.6g}: use --weights lazy, or --self-weight 0.5"
            )
