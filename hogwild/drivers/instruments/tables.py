"""Statistics of the rows of tables: how many a push touches, how stale they were, and how stale theory expects them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from hogwild.drivers.job.tables import diverges
from hogwild.shared.table_memory import COLUMNS, COUNTS
from hogwild.shared.world import World
from hogwild.theory.rows import Array, RowDelay, measured_row_delay

ENOUGH = 100  # pushes, after which the delay of the hottest row is known well enough for a warning
HOT = 1.0  # delay, in pushes, of the hottest row


def summary(world: World) -> dict[str, Any]:
    """The keys of the summary: nothing without tables.

    unique_rows_per_push    different rows that a push touches, of all tables
    row_delay               mean over touched rows of the pushes of others that touched them since they were looked up;
                            worker processes measure it for one batch in WATCHED, a simulation for all
    row_delay_expected      the same by the closed form of hogwild.theory.rows, from how often each row was touched
    shared_rows             the part of touched rows with a delay > 0;  shared_rows_expected likewise
    row_delay_histogram     touched rows by their delay: 0, then from each power of two to below the next one
    """
    if not world.tables:
        return {}
    counted = _named(_sum(world))
    watched, expected = max(counted["watched_rows"], 1.0), _expected(world, counted["pushes"])
    return {
        "unique_rows_per_push": counted["unique_rows"] / max(counted["pushes"], 1.0),
        "row_delay": counted["row_delay_sum"] / watched,
        "row_delay_expected": expected.mean,
        "shared_rows": counted["shared_rows"] / watched,
        "shared_rows_expected": expected.shared,
        "row_delay_histogram": counted["delays"],
    }


class Interval:
    """The delay of touched rows since the last call."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._last = torch.zeros(COLUMNS, dtype=torch.float64)

    def counted(self) -> dict[str, Any]:
        """{"row_delay": {mean, shared, counts}}, as in `summary`; {} without tables, or without a watched row."""
        if not self._world.tables:
            return {}
        now = _sum(self._world)
        since = _named(now - self._last)
        self._last = now
        if not (rows := since["watched_rows"]):
            return {}
        mean, shared = since["row_delay_sum"] / rows, since["shared_rows"] / rows
        return {"row_delay": {"mean": mean, "shared": shared, "counts": since["delays"]}}


class HotRows:
    """Warns once, after ENOUGH pushes, of hot rows under a rule with which delay can make them diverge."""

    def __init__(self, world: World) -> None:
        self._world, self._rule = world, world.tables.training.rule.name
        self._is_due = diverges(world) and world.workers > 1

    def warning(self, version: int) -> str | None:
        """A line, if there is something to warn of and it has not been said."""
        if not self._is_due or version < ENOUGH:
            return None
        self._is_due = False
        expected = _expected(self._world, float(version))
        if expected.hottest < HOT:
            return None
        return (
            f"tables: the row that is touched most has a delay of about {expected.hottest:.1f} pushes, and the mean is "
            f"{expected.mean:.2f}: under table rule {self._rule} hot rows can diverge where others are far from it; "
            "--table-rule row-adagrad gives each row a step size of its own, or lower --table-lr"
        )


def _sum(world: World) -> torch.Tensor:
    """What all workers have counted [COLUMNS], on the CPU."""
    return world.tables.counts(world.arena).sum(0).cpu()


def _named(counts: torch.Tensor) -> dict[str, Any]:
    """Counts [COLUMNS] by their names. `delays`: rows by the least delay of their place, without what is 0;
    `watched_rows`: all of them.
    """
    named, delays = counts[: len(COUNTS)].tolist(), counts[len(COUNTS) :].tolist()
    histogram = {1 << place >> 1: int(rows) for place, rows in enumerate(delays) if rows}
    return {**dict(zip(COUNTS, named, strict=True)), "watched_rows": sum(delays), "delays": histogram}


def _expected(world: World, pushes: float) -> RowDelay:
    tables, arena = world.tables, world.arena
    counts = [_counts(tables.versions(arena, name)) for name in tables.shapes]
    return measured_row_delay(np.concatenate(counts), pushes, world.workers)


def _counts(versions: torch.Tensor) -> Array:
    """Row versions [rows] as numbers, though they count modulo 2^32."""
    return versions.cpu().numpy().view(np.uint32).astype(np.float64)
