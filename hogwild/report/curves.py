"""Curves of runs as lines of a chart, with what is said about them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hogwild.report.chart import Line
from hogwild.report.record import Record
from hogwild.report.scale import number


def curves(runs: Sequence[Record], y: str, x: str) -> list[Line]:
    found = [Line(run.name, run.curve(y, x), look) for look, run in enumerate(runs)]
    return [line for line in found if any(math.isfinite(value) for _, value in line.points)]


def ends(line: Line) -> str:
    last = line.points[-1][1]
    if math.isnan(last):
        return f"{line.name} has diverged"
    return f"{line.name} ends at {number(last)}"


def key(drawn: Sequence[Line]) -> dict[str, int] | None:
    return {line.name: line.look for line in drawn} if len(drawn) > 1 else None


def spans_decades(drawn: Sequence[Line]) -> bool:
    values = [y for line in drawn for _, y in line.points if math.isfinite(y)]
    return bool(values) and min(values) > 0 and max(values) > 100 * min(values)
