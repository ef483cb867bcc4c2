"""The one metric that a caller gives as score_fn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hogwild.errors import UsageError
from hogwild.tasks.data import Data


def with_score(
    data: Data,
    is_data: bool,
    score_fn: Callable[[Any, Any], tuple[float, int]] | None,
    metric: str | None,
    maximize: bool | None,
) -> Data:
    """`data` with the caller's metric, whose direction is then the caller's too, or that of its name."""
    if score_fn is None:
        if not is_data and (metric is not None or maximize is not None):
            given = "metric" if metric is not None else "maximize"
            raise UsageError(f"{given} is about the metric that score_fn computes: give score_fn too, or leave it out")
        changes = {"metric": metric, "maximize": maximize}
        return replace(data, **{name: value for name, value in changes.items() if value is not None})  # type: ignore[arg-type]
    name = getattr(score_fn, "__name__", "score")
    return replace(data, score=score_fn, metric=metric or (name if name.isidentifier() else "score"), maximize=maximize)
