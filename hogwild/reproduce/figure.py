"""A reproduced figure of a paper: the claim in our words, the computation of its numbers, and the verdict on the claim.

`verdict` and `plot` get only the rows of the CSV, so both can be checked from that file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hogwild.reproduce.study import Study

SCALES = ("tiny", "small", "paper")
"""`small` is the problem of `tiny` with longer runs, for figures that need them."""
SMOKE = "smoke"
"""A scale for tests, which takes seconds: it runs every step of a figure, too small to show a result."""

Row = dict[str, Any]
"""Column -> number or text; None if there is no value. Rows read from the CSV equal those written."""


@dataclass(frozen=True)
class Verdict:
    """One sentence with the measured numbers, and whether the claim holds in them."""

    measured: str
    holds: bool


@dataclass(frozen=True)
class Figure:
    """One figure. To add one: a module with a Figure, and a line in hogwild/reproduce/__init__.py.

    `compute(study)` does the work at study.scale (one of `scales`, or SMOKE) and returns rows with `columns`. Long
    computations go through study.run, which stores results and uses all cores. `plot(axes, rows)` draws on matplotlib
    axes.
    """

    name: str
    source: str  # paper and figure
    claim: str
    columns: tuple[str, ...]
    compute: Callable[[Study], list[Row]]
    verdict: Callable[[Sequence[Row]], Verdict]
    plot: Callable[[Any, Sequence[Row]], None]
    report: Callable[[Sequence[Row]], str] | None = None  # a Markdown page, for figures that need more than a line
    scales: tuple[str, ...] = ("tiny", "paper")


def line(points: Sequence[tuple[float, float]]) -> tuple[float, float, float]:
    """(slope, intercept, R^2) of the least-squares line through at least two points with different x."""
    count = len(points)
    x_mean, y_mean = (sum(point[axis] for point in points) / count for axis in (0, 1))
    xx = sum((x - x_mean) ** 2 for x, _ in points)
    xy = sum((x - x_mean) * (y - y_mean) for x, y in points)
    yy = sum((y - y_mean) ** 2 for _, y in points)
    slope = xy / xx
    return slope, y_mean - slope * x_mean, xy * xy / (xx * yy) if yy else 1.0


def groups(rows: Sequence[Row], column: str) -> dict[Any, list[Row]]:
    """The rows by their value of `column`, in the order in which the values first appear."""
    found: dict[Any, list[Row]] = {}
    for row in rows:
        found.setdefault(row[column], []).append(row)
    return found
