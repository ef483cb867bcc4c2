"""The events of kind train: what the workers have done since the last one, and in the whole run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from hogwild.drivers.instruments import tables
from hogwild.drivers.instruments.counts import Counts
from hogwild.drivers.instruments.statistics import SPANS, Statistics
from hogwild.runs.journal import Journal

TRAIN_LINE_S = 1.0
OF_THE_RUN = 1 / 2000  # of the time so far, if that is longer: a week makes 14,000 lines, not 600,000
TRAIN_LINES = 200  # of a run at least, if it has as many gradients
LR_SAMPLES = 100  # of the schedule, for the mean of a part of the run


def pause_s(elapsed_s: float) -> float:
    """Seconds between two events, `elapsed_s` after the beginning of the run."""
    return max(TRAIN_LINE_S, OF_THE_RUN * elapsed_s)


class TrainLines:
    """Writes an event of kind train every second (later every two-thousandth of the time so far), and at every
    two-hundredth of the run.

    Numbers under `interval` are since the last event: its seconds `s`, applied `pushes`, these by their `delay` and by
    the power of two of their `gap`, and of each worker the seconds `phase_s` that ended in each phase. `train_loss` and
    `samples_per_s` are of the interval, too; all others are of the whole run.
    """

    def __init__(self, counts: Counts, journal: Journal) -> None:
        self.metrics: dict[str, float] = {}  # of the caller's own loops: their last means
        self.last: Statistics | None = None  # at the last event; None: the run has not begun
        self._counts, self._journal = counts, journal
        self._tables = tables.Interval(counts.world)
        self._sums: dict[str, tuple[float, int]] = {}
        self._at_s = 0.0
        self._completed = 0

    def begin(self, stats: Statistics) -> None:
        """The workers start now."""
        self._at_s, self.last = self._journal.elapsed_s(), stats

    def is_due(self, completed: int) -> bool:
        """Whether a two-hundredth of the run's gradients has come since the last event."""
        job = self._counts.job
        return job.body is None and completed - self._completed >= max(1, job.total_tickets // TRAIN_LINES)

    def write_if_due(self, stats: Statistics) -> None:
        if self.last is None:
            return
        now = self._journal.elapsed_s()
        if now - self._at_s >= pause_s(now) or self.is_due(self._counts.completed):
            self.write(stats)

    def write(self, stats: Statistics) -> None:
        """Writes an event, if there is news."""
        now, earlier = self._journal.elapsed_s(), self.last
        since = self._at_s if earlier else now
        samples = stats.samples - (earlier.samples if earlier else 0)
        if earlier is not None and (stats.version, samples) == (earlier.version, 0) and not self._sums:
            return
        if self._sums:
            self.metrics |= {name: total / count for name, (total, count) in self._sums.items()}
        self._journal.event(
            "train",
            samples=self._counts.samples,
            updates=stats.version,
            train_loss=stats.mean_loss_since(earlier),
            samples_per_s=samples / (now - since) if now > since else None,
            delay=stats.delay_summary(),
            gap_rms=stats.gap_rms,
            step_rms=stats.step_rms,
            **self.step_per_lr(stats, earlier),
            refused=stats.refused,
            dropped=stats.dropped,
            lr=self._counts.lr,
            interval={"s": now - since, **interval(stats, earlier), **self._tables.counted()},
            **{name: self.metrics[name] for name in self._sums},
        )
        self._sums = {}
        self._at_s, self.last, self._completed = now, stats, self._counts.completed

    def add_metrics(self, sums: Mapping[str, tuple[float, int]]) -> None:
        """Numbers of the caller's own loops: their sums and counts since the last call."""
        for name, (total, count) in sums.items():
            before = self._sums.get(name, (0.0, 0))
            self._sums[name] = before[0] + total, before[1] + count

    def step_per_lr(self, stats: Statistics, earlier: Statistics | None) -> dict[str, float]:
        """{step_per_lr: rms of the steps since `earlier`, over that of the schedule's lr}; {} if the rule is not
        adaptive, or nothing was pushed.
        """
        if self._counts.job.algorithm.adaptive() is None:
            return {}
        since = earlier.version if earlier else 0
        count = min(stats.version - since, LR_SAMPLES)
        rates = [self._counts.lr_at(since + (stats.version - since) * k // count) for k in range(count)]
        lr, step = math.hypot(*rates) / math.sqrt(max(count, 1)), stats.step_rms_since(earlier)
        return {"step_per_lr": step / lr} if lr > 0 and math.isfinite(step) else {}


def interval(stats: Statistics, earlier: Statistics | None) -> dict[str, Any]:
    """What has come since `earlier`: pushes, delay, gap and phase_s, without what is 0."""
    phases = {}
    for rank, now in enumerate(stats.workers):
        before = earlier.workers[rank] if earlier else {}
        spent = {name: round(now[f"{name}_s"] - before.get(f"{name}_s", 0.0), 6) for name in SPANS}
        phases[rank] = {name: seconds for name, seconds in spent.items() if seconds > 0}
    return {
        "pushes": stats.pushes - (earlier.pushes if earlier else 0),
        "delay": _since(stats.delay_histogram(), earlier.delay_histogram() if earlier else {}),
        "gap": _since(stats.gap_histogram(), earlier.gap_histogram() if earlier else {}),
        "phase_s": {rank: spent for rank, spent in phases.items() if spent},
    }


def _since(now: Mapping[int, int], before: Mapping[int, int]) -> dict[int, int]:
    return {at: count - before.get(at, 0) for at, count in now.items() if count > before.get(at, 0)}
