"""What the decentralized algorithms have in common: the graph, its weights, and whether momentum travels too."""

from __future__ import annotations

from hogwild.algorithms.base import MODEL, REPLICA, SHARED, option
from hogwild.rules import Topology

MODELS = {"x": SHARED, "replica": MODEL, "sent": REPLICA}


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


def average_momentum_option() -> bool:
    return option(False, "average the momentum buffers as well")


def graph(topology: str, weights: str, self_weight: float) -> Topology:
    return Topology(topology, weights, self_weight or None)
