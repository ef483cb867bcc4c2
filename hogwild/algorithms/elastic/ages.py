"""The age of what a worker hands in to a center: what the center has counted since the worker took its model."""

from __future__ import annotations

from hogwild.algorithms.base import Buffer, Scope, View
from hogwild.algorithms.elastic.options import COUNT

AGES = {"center": COUNT, "adopted": Buffer(Scope.WORKER, size=1, dtype="float64")}
"""A count of the center, and its value when the worker last took its model from there: see `age`."""


def age(w: View) -> int:
    """What the center has counted since the worker adopted it. Call it within `exclusive`, as the next two."""
    return int(w.buffer("center") - w.buffer("adopted"))


def count(w: View, amount: int) -> None:
    """The center's count <- count + amount."""
    center = w.buffer("center")
    center += amount


def adopt_center(w: View) -> None:
    """replica, base <- x, at age 0."""
    w.combine("replica", {"x": 1})
    w.combine("base", {"x": 1})
    w.buffer("adopted").copy_(w.buffer("center"))
