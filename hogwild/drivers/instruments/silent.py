"""Tells which workers do not count: their gradients are dropped, so the model does not learn what only they have."""

from __future__ import annotations

from collections.abc import Iterator

from hogwild.drivers.instruments.statistics import Statistics

MANY = 10  # times the workers: pushes of the others after which a worker without one is named


class Silent:
    """Workers that compute gradients and have none applied. Each is named once."""

    def __init__(self, workers: int) -> None:
        self._since = [0] * workers  # version at which the number of the worker's updates was last seen to change
        self._pushes = [0] * workers
        self._dropped = [0] * workers
        self._named: set[int] = set()

    def warnings(self, stats: Statistics) -> Iterator[str]:
        """A line for each worker without an update in MANY pushes a worker, while gradients of its own were dropped."""
        for rank, worker in enumerate(stats.workers):
            if worker["pushes"] != self._pushes[rank] or not stats.version:
                self._pushes[rank], self._dropped[rank] = worker["pushes"], worker["dropped"]
                self._since[rank] = stats.version
            waited = stats.version - self._since[rank]
            lost = worker["dropped"] - self._dropped[rank]
            if lost and waited >= MANY * len(stats.workers) and rank not in self._named:
                self._named.add(rank)
                yield (
                    f"worker {rank} had no update in the last {waited} pushes, {lost} of its gradients were dropped: "
                    "with --shard its data are not learned; raise the limit of the delay, or use another algorithm"
                )
