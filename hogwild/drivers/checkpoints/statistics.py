"""The workers' statistics in a checkpoint, so that a resumed run's are those of the whole run.

Sums and counts are saved and restored together: every mean divides a sum by a count of the same span.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import TypedDict

from hogwild.shared.control import Ledger

LARGEST = ("delay_max",)  # of several workers the largest counts; of everything else the sum


class WorkerStatistics(TypedDict):
    """Of one worker: the ledger's totals by name, and its applied pushes per delay, as far as there are any."""

    totals: dict[str, float]
    delays: list[int]


def of(ledger: Ledger, workers: int) -> list[WorkerStatistics]:
    """What workers 0, 1, ... measured so far."""
    return [{"totals": ledger.totals(rank), "delays": _shortened(ledger.delays(rank))} for rank in range(workers)]


def restore(ledger: Ledger, workers: int, saved: Sequence[WorkerStatistics]) -> None:
    """Writes `saved` into a new ledger of so many workers. Where they are fewer than before, what rank r measured is
    added to that of rank r mod workers: the sums over all workers stay those of the run.
    """
    for rank in range(min(workers, len(saved))):
        parts = saved[rank::workers]
        totals = [part["totals"] for part in parts]
        bins = zip_longest(*(part["delays"] for part in parts), fillvalue=0)
        ledger.restore(
            rank, {name: (max if name in LARGEST else sum)(part[name] for part in totals) for name in totals[0]}
        )
        ledger.restore_delays(rank, list(map(sum, bins)))


def _shortened(histogram: Sequence[int]) -> list[int]:
    last = max((delay for delay, count in enumerate(histogram) if count), default=-1)
    return list(histogram[: last + 1])
