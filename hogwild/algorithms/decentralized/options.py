"""What the decentralized algorithms have in common: the graph, its weights, pairs, and whether momentum travels too."""

from __future__ import annotations

from dataclasses import dataclass

from hogwild.algorithms.base import MODEL, REPLICA, SHARED, Algorithm, Buffer, Scope, option
from hogwild.rules import Topology

MODELS = {"x": SHARED, "replica": MODEL, "sent": REPLICA}
LOCKED = Buffer(Scope.REPLICA, starts="x", locks=True)
"""A worker's own model that pairs average, chunk by chunk."""
LAG = {"lag": Buffer(Scope.REPLICA, locks=True), "elapsed": Buffer(Scope.REPLICA, size=1, dtype="float64")}
"""Of the continuous momentum: see View.average_with."""


def topology_option(default: str = "ring") -> str:
    return option(default, "graph of the workers that average with each other: hogwild list topologies, or a file")


def weights_option(default: str = "uniform") -> str:
    return option(default, "weights of the edges", choices=("uniform", "metropolis", "lazy"))


def self_weight_option() -> float:
    return option(
        0.0,
        "weight of the own replica, the rest shared evenly; 0: as weights says",
        check=(lambda value: 0 <= value < 1, "a number, 0 <= number < 1"),
    )


def pairing_option(help: str, *more: str) -> str:
    return option(
        "skip", f"chunks locked by another worker: left out or waited for{help}", choices=("skip", "blocking", *more)
    )


def average_momentum_option() -> bool:
    return option(False, "average the momentum buffers as well")


@dataclass(frozen=True)
class OnGraph(Algorithm):
    """An algorithm of workers that average with their neighbours; the result is the mean of their replicas."""

    topology: str = topology_option()
    weights: str = weights_option()
    self_weight: float = self_weight_option()

    def result(self) -> str:
        return "replica"

    def graph(self) -> Topology:
        return Topology(self.topology, self.weights, self.self_weight or None)
