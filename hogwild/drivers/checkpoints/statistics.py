"""The workers' statistics in a checkpoint: with them, the statistics of a resumed run cover the whole run.

Sums and counts are saved and restored together: every mean divides a sum by a count of the same span.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import TypedDict

from hogwild.shared.control import Ledger

LARGEST = ("delay_max",)  # combined over workers by the maximum; all other totals by the sum


class _Always(TypedDict):
    totals: dict[str, float]
    delays: list[int]


class WorkerStatistics(_Always, total=False):
    """One worker's totals in the ledger, by name, and its applied pushes per delay and per power of two of their gap,
    up to the largest it had. Version 0.1.0 kept no gaps.
    """

    gaps: list[int]


def of(ledger: Ledger, workers: int) -> list[WorkerStatistics]:
    """The statistics of workers 0, 1, ... so far."""
    return [
        {
            "totals": ledger.totals(rank),
            "delays": _shortened(ledger.delays(rank)),
            "gaps": _shortened(ledger.gaps(rank)),
        }
        for rank in range(workers)
    ]


def restore(ledger: Ledger, workers: int, saved: Sequence[WorkerStatistics]) -> None:
    """Writes `saved` into a new ledger of `workers` workers. If there are fewer workers than before, the totals of rank
    r are added to those of rank r mod workers, so the sums over all workers do not change.
    """
    for rank in range(min(workers, len(saved))):
        parts = saved[rank::workers]
        totals = [part["totals"] for part in parts]
        ledger.restore(
            rank, {name: (max if name in LARGEST else sum)(part[name] for part in totals) for name in totals[0]}
        )
        ledger.restore_delays(rank, _summed([part["delays"] for part in parts]))
        ledger.restore_gaps(rank, _summed([part.get("gaps", []) for part in parts]))


def _summed(histograms: Sequence[Sequence[int]]) -> list[int]:
    return list(map(sum, zip_longest(*histograms, fillvalue=0)))


def _shortened(histogram: Sequence[int]) -> list[int]:
    last = max((delay for delay, count in enumerate(histogram) if count), default=-1)
    return list(histogram[: last + 1])
