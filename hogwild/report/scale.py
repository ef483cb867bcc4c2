"""Axes: from numbers to places between 0 and 1, round ticks, and lines thinned to what a screen can show."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Point = tuple[float, float]
COLUMNS = 400  # of a thinned line
LARGEST, SMALLEST = 1e300, 1e-300  # sizes of what an axis holds, so that its length and its ticks are numbers


@dataclass(frozen=True)
class Scale:
    """`log`: powers of ten have equal distances; then low is positive."""

    low: float
    high: float
    log: bool = False

    @classmethod
    def of(cls, values: Iterable[float], *, log: bool = False, zero: bool = False) -> Scale:
        """Holds all values up to LARGEST, with a little room above and below. `zero`: begins at 0."""
        finite = [value for value in values if abs(value) <= LARGEST and (value >= SMALLEST or not log)]
        if not finite:
            return cls(1.0, 10.0, log) if log else cls(0.0, 1.0)
        low, high = min(finite), max(finite)
        if log:
            return cls(low / 1.1, high * 1.1, log)
        room = next((room for room in (0.04 * (high - low), 0.1 * abs(high)) if room > SMALLEST), 0.5)
        return cls(0.0 if zero else low - room, high + room)

    def place(self, value: float) -> float:
        """Between 0 and 1 for values inside; NaN for what has no place."""
        if not abs(value) <= LARGEST:
            return math.nan
        if self.log:
            if not value >= SMALLEST:
                return math.nan
            return (math.log(value) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        return (value - self.low) / (self.high - self.low)

    def ticks(self, most: int = 5) -> list[float]:
        """Round numbers inside: 1, 2 or 5 times a power of ten apart, or powers of ten on a log axis."""
        if self.log:
            decades = range(math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9) + 1)
            if len(decades) >= 2:
                return [10.0**decade for decade in decades[:: math.ceil(len(decades) / most)]]
        span = self.high - self.low
        step = 10.0 ** math.floor(math.log10(span / most))
        step *= next(factor for factor in (1, 2, 5, 10) if span / (step * factor) <= most)
        first, digits = math.ceil(self.low / step), 2 - math.floor(math.log10(step))
        return [round(index * step, digits) for index in range(first, math.floor(self.high / step + 1e-9) + 1)]


def number(value: float) -> str:
    """A number as an axis and a table show it: three or four digits."""
    if math.isnan(value):
        return "no number"
    if value == 0:
        return "0"
    if abs(value) >= 1e15 or abs(value) < 1e-3:
        return f"{value:.3g}"
    for limit, size, unit in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if abs(value) >= limit:
            return f"{value / size:.4g}{unit}"
    return f"{value:.4g}"


def thinned(points: Sequence[Point], columns: int = COLUMNS) -> list[Point]:
    """The same line on a screen: of each column of pixels the first, the least, the largest and the last value, in
    their order. A NaN stays, so that the line breaks there.
    """
    if len(points) <= 4 * columns:
        return list(points)
    xs = [x for x, _ in points if math.isfinite(x)]
    least = min(xs)
    width = (max(xs) - least) / columns or 1.0
    kept: list[Point] = []
    column: list[int] = []

    def flush() -> None:
        finite = [index for index in column if math.isfinite(points[index][1])]
        chosen = {column[0], column[-1], *(index for index in column if index not in finite)}
        if finite:
            chosen |= {min(finite, key=lambda at: points[at][1]), max(finite, key=lambda at: points[at][1])}
        kept.extend(points[index] for index in sorted(chosen))

    for index, (x, _) in enumerate(points):
        if column and int((x - least) / width) != int((points[column[0]][0] - least) / width):
            flush()
            column = []
        column.append(index)
    flush()
    return kept
