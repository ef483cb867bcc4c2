"""The metrics that a caller gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from hogwild.errors import UsageError
from hogwild.metrics import meter
from hogwild.own_code import described
from hogwild.tasks.data import Data


def with_metrics(data: Data, metrics: Mapping[str, object] | None, monitor: str | None, maximize: bool | None) -> Data:
    """`data` with the metrics by name, the one that chooses the best checkpoint, and its direction."""
    if metrics is None:
        return replace(data, monitor=monitor)
    if not isinstance(metrics, Mapping) or not metrics or not all(isinstance(name, str) for name in metrics):
        raise UsageError(f'metrics must map names to metrics, {{"top1": fn, ...}}; it is {described(metrics)}')
    for name, metric in metrics.items():
        meter(name, metric)
    is_own = not getattr(data.score, "__module__", "").startswith("hogwild.")  # a data set's may be replaced
    if data.score is not None and is_own and data.metric in metrics:
        raise UsageError(f"score_fn and one of metrics are both called {data.metric}: call one of them otherwise")
    found = dict(metrics) if data.score is None or not _is_given(data) else {data.metric: data.score, **metrics}
    return replace(data, score=None, metrics=found, monitor=monitor, maximize=maximize)


def _is_given(data: Data) -> bool:
    """Whether the caller chose the score: it is none of those that hogwild takes by itself."""
    return not getattr(data.score, "__module__", "").startswith("hogwild.tasks.objectives")


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
