"""The setting that is nearest to an asked situation, and what of it differs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hogwild.recommend.rows import Measured

WORKERS, LATENCY, DELAY_CV = 2.0, 3.0, 0.2
"""How far a near setting may be: factors of workers and of latency + 0.1, difference of the delays' variation."""
KNOWN = ("ssgd", "asgd")
"""What the others are compared with."""
WITHOUT_KNOWN, WITHOUT_TUNING, WITHOUT_TIMES = 1.0, 0.5, 0.25
"""What it counts as distance if a setting lacks a known method, tuned learning rates, times to a target."""
EQUAL_SPEEDS = 0.1
"""The variation of delays that is meant where none is asked for."""


@dataclass(frozen=True)
class Asked:
    """Workers; whether their data differ; latency of a message in mean times of a gradient; standard deviation over
    mean of the delays; the most bytes to be moved per parameter and gradient.
    """

    workers: int
    split: bool = False
    latency: float = 0.0
    delay_cv: float = EQUAL_SPEEDS
    bytes: float = math.inf


@dataclass(frozen=True)
class Found:
    """A setting's rows, and the sentences on what differs beyond the bounds; none: it is near."""

    rows: Sequence[Measured]
    differs: Sequence[str]
    distance: float

    @property
    def is_near(self) -> bool:
        return not self.differs


def nearest(rows: Iterable[Measured], asked: Asked) -> Found:
    """The nearest setting: first of all with data as asked for, within the bounds, with bytes measured if those are
    asked for. What a setting lacks counts as distance. ValueError without rows.
    """
    found = [compared(inside, asked) for inside in by_setting(rows)]
    if not found:
        raise ValueError("there are no measured rows")

    def order(one: Found) -> tuple[bool, int, bool, float]:
        row = one.rows[0]
        no_bytes = row.bytes is None and asked.bytes < math.inf
        no_known = not any(row.algorithm in KNOWN for row in one.rows)
        lacks = WITHOUT_KNOWN * no_known + WITHOUT_TUNING * (not row.is_tuned) + WITHOUT_TIMES * (not row.target)
        return row.split != asked.split, len(one.differs), no_bytes, one.distance + lacks

    return min(found, key=order)


def by_setting(rows: Iterable[Measured]) -> list[list[Measured]]:
    """The rows of each setting, in the order in which the settings first appear."""
    settings: dict[tuple[str, str, int], list[Measured]] = {}
    for row in rows:
        settings.setdefault((row.source, row.setting, row.workers), []).append(row)
    return list(settings.values())


def compared(rows: Sequence[Measured], asked: Asked) -> Found:
    """That setting beside what is asked for."""
    row = rows[0]
    workers = abs(math.log(asked.workers / row.workers, WORKERS))
    latency = abs(math.log((asked.latency + 0.1) / (row.latency + 0.1), LATENCY))
    cv = 0.0 if row.delay_cv is None else abs(asked.delay_cv - row.delay_cv) / DELAY_CV
    parts = [
        (workers, f"it has {row.workers} workers, not {asked.workers}"),
        (latency, f"a message takes {row.latency:g} times a gradient there, not {asked.latency:g}"),
        (cv, f"delays vary by {row.delay_cv or 0:.2f} of their mean there, not by {asked.delay_cv:.2f}"),
        (2.0 * (row.split != asked.split), f"its workers have {'different' if row.split else 'the same'} data"),
    ]
    return Found(rows, [text for far, text in parts if far > 1], sum(far for far, _ in parts))


def ranked(rows: Iterable[Measured], asked: Asked) -> list[Measured]:
    """The best row of each algorithm, the best first: by time to the target, then by score. Rows that move more bytes
    than asked for are left out.
    """
    allowed = [row for row in rows if row.bytes is None or row.bytes <= asked.bytes]
    best: dict[str, Measured] = {}
    for row in sorted(allowed, key=_order):
        best.setdefault(row.algorithm, row)
    return list(best.values())


def _order(row: Measured) -> tuple[float, float]:
    return (math.inf if row.time is None else row.time), -(row.score or 0.0)
