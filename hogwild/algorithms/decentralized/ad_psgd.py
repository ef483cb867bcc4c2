"""AD-PSGD: a worker averages with one random peer, whatever the peer is doing, and applies a stale gradient.

    worker i:   snapshot_i <- x_i;   g = grad F_i(snapshot_i)           others may average x_i meanwhile
                draw a neighbour j;   x_i, x_j <- (x_i + x_j) / 2
                v_i <- m v_i + g + wd x_i;   x_i <- x_i - lr v_i

Weight decay is taken at the averaged replica. An average takes the locks of both models chunk by chunk and, by default,
leaves out a chunk that another worker has locked: no worker waits, and a slow worker's model is averaged while it
computes. The result is the mean of the replicas.

Source: Lian et al. 2018, Asynchronous Decentralized Parallel Stochastic Gradient Descent (arXiv:1710.06952).
pairing = bipartite is the paper's way not to deadlock: only workers of one side of a bipartite graph begin averages.
Deviates: averages are of chunks, so different chunks of a model may have met different peers. The default graph is
complete: random pairs mix faster there than on a ring. Momentum is the worker's own unless average_momentum. A step
waits for its chunk's lock: the one peer of a worker that is stopped inside an average (SIGSTOP) waits for it too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import SHARED, SNAPSHOT, Algorithm, Buffer, Gradient, Scope, Steps, View, momentum_option
from hogwild.algorithms.decentralized.options import LOCKED, average_momentum_option, pairing_option, topology_option
from hogwild.rules import HeavyBall, Topology


@dataclass(frozen=True)
class ADPSGD(Algorithm):
    """Asynchronous decentralized parallel SGD."""

    name: ClassVar[str] = "ad-psgd"
    summary: ClassVar[str] = "workers average with one random peer at a time; no worker waits"
    buffers: ClassVar[Mapping[str, Buffer]] = {"x": SHARED, "replica": LOCKED, "snapshot": SNAPSHOT}

    topology: str = topology_option("complete")
    pairing: str = pairing_option("; bipartite: waited for, and only one side begins", "bipartite")
    momentum: float = momentum_option(0.0, "momentum factor m of each worker")
    average_momentum: bool = average_momentum_option()

    def keeps(self) -> Mapping[str, Buffer]:
        return {**self.buffers, **({"v": Buffer(Scope.REPLICA, locks=self.average_momentum)} if self.momentum else {})}

    def result(self) -> str:
        return "replica"

    def graph(self) -> Topology:
        return Topology(self.topology, active_side=self.pairing == "bipartite")

    def worker(self, w: View) -> Steps:
        order = "skip" if self.pairing == "skip" else "blocking"
        momentum = HeavyBall(self.momentum) if self.momentum else None
        w.pull(of="replica")
        while True:
            g = yield Gradient(at=w.snapshot)
            if (peer := w.peer(self.graph())) >= 0:
                w.average_with(peer, order)
                if momentum and self.average_momentum:
                    w.average_with(peer, order, "v")
            w.push(g, momentum=momentum, onto="replica")
