"""Statistics of staleness, speed and loss: the workers' own counters, and their sums."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from hogwild.kernels.control import LEAST_GAP
from hogwild.shared.control import Ledger, Versions
from hogwild.shared.world import World

SPANS = ("data", "gradient", "sleep", "update", "lock", "waiting", "paused")
"""The phases of a worker whose seconds are counted, as <name>_s. waiting: at barriers; paused: for the parent, or for
work; sleep: of a straggler that is made to wait."""


@dataclass(frozen=True)
class Statistics:
    """Totals of the whole run at one moment; a resumed run continues from those of its checkpoint. Delays count
    versions; gap_rms and step_rms are per parameter, over all applied pushes, and without tables.
    """

    version: int
    pushes: int
    refused: int
    dropped: int
    nonfinite: int
    averaged: int
    skipped: int
    overtook: int  # batches that workers completed in place of slower ones
    samples: int
    loss_sum: float
    losses: int
    delays: tuple[int, ...]
    gaps: tuple[int, ...]
    delay_sum: int
    delay_max: int
    gap_rms: float
    step_rms: float
    workers: tuple[dict[str, Any], ...]

    @classmethod
    def of(cls, world: World) -> Statistics:
        """Reads the counters while the workers write them: each number is right, but two of them may differ by one
        push.
        """
        ledger: Ledger = world.control
        versions: Versions = world.control
        workers = tuple(ledger.stats(rank) for rank in range(world.workers))

        def total(key: str) -> Any:
            return sum(worker[key] for worker in workers)

        pushes = int(total("pushes"))
        elements = max(pushes, 1) * max(world.layout.parameters, 1)
        return cls(
            version=versions.version,
            pushes=pushes,
            refused=int(total("refused")),
            dropped=int(total("dropped")),
            nonfinite=int(total("nonfinite")),
            averaged=int(total("averaged")),
            skipped=int(total("skipped")),
            overtook=int(total("overtook")),
            samples=int(total("samples")),
            loss_sum=float(total("loss_sum")),
            losses=int(total("losses")),
            delays=_added([ledger.delays(rank) for rank in range(world.workers)]),
            gaps=_added([ledger.gaps(rank) for rank in range(world.workers)]),
            delay_sum=int(total("delay_sum")),
            delay_max=max(int(worker["delay_max"]) for worker in workers),
            gap_rms=math.sqrt(total("gap_sq") / elements),
            step_rms=math.sqrt(total("step_sq") / elements),
            workers=workers,
        )

    def delay_quantile(self, q: float) -> int:
        """The smallest delay that at least a fraction q of the pushes did not exceed."""
        rank, seen = q * sum(self.delays), 0
        for delay, count in enumerate(self.delays):
            seen += count
            if count and seen >= rank:
                return delay if delay + 1 < len(self.delays) else self.delay_max
        return 0

    @property
    def delay_mean(self) -> float:
        return self.delay_sum / max(self.pushes, 1)

    def delay_summary(self) -> dict[str, float]:
        """{mean, p50, p95, max} of the delays so far."""
        return {
            "mean": self.delay_mean,
            "p50": self.delay_quantile(0.5),
            "p95": self.delay_quantile(0.95),
            "max": self.delay_max,
        }

    def delay_histogram(self) -> dict[int, int]:
        """Pushes per delay, up to the longest delay there was; the last of 256 bins also holds longer delays."""
        return {delay: count for delay, count in enumerate(self.delays) if count}

    def gap_histogram(self) -> dict[int, int]:
        """Pushes by the power of two of their gap, root mean square: k counts gaps from 2^k to 2^(k+1)."""
        return {LEAST_GAP + place: count for place, count in enumerate(self.gaps) if count}

    def mean_loss_since(self, earlier: Statistics | None) -> float:
        """Mean training loss of the gradients since `earlier`; NaN if there were none."""
        losses = self.losses - (earlier.losses if earlier else 0)
        return (self.loss_sum - (earlier.loss_sum if earlier else 0.0)) / losses if losses else math.nan

    def step_rms_since(self, earlier: Statistics | None) -> float:
        """step_rms of the pushes since `earlier`; NaN if there were none."""
        before, sum_before = (earlier.pushes, earlier.step_rms**2 * earlier.pushes) if earlier else (0, 0.0)
        if self.pushes <= before:
            return math.nan
        return math.sqrt(max(self.step_rms**2 * self.pushes - sum_before, 0.0) / (self.pushes - before))

    def worker_line(self, rank: int) -> dict[str, Any]:
        """One worker's own statistics, for its closing event."""
        own = self.workers[rank]
        pushes = max(own["pushes"], 1)
        return {
            "worker": rank,
            "pushes": own["pushes"],
            "refused": own["refused"],
            "samples": own["samples"],
            "share": own["samples"] / max(self.samples, 1),
            "delay_mean": own["delay_sum"] / pushes,
            "delay_max": own["delay_max"],
            **{f"{name}_s": own[f"{name}_s"] for name in SPANS},
            "locks_recovered": own["recovered"],
            "chunks_averaged": own["averaged"],
            "chunks_skipped": own["skipped"],
        }


def _added(histograms: list[list[int]]) -> tuple[int, ...]:
    return tuple(map(sum, zip(*histograms, strict=True)))
