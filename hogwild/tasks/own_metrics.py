"""The metrics that a caller gives: with the data of a run, and by the names under which the run records them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import hogwild.metrics
from hogwild.errors import UsageError
from hogwild.metrics import Mean, Whole, k_of, meter, top_k, whole
from hogwild.own_code import described, is_name, name_of
from hogwild.tasks import own
from hogwild.tasks.data import Data

SHIPPED = ("accuracy", "perplexity", "rmse", "mae", "auc", "f1")
_TOP_K = re.compile(r"top_k\((\d+)\)")
_WHOLE = re.compile(r"whole\((.+), (None|True|False)\)")
_DIRECTIONS = {"None": None, "True": True, "False": False}


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


def recorded_as(metric: object) -> str:
    """The text by which `from_record` makes the metric again: "auc", "top_k(5)", "module:function",
    "whole(module:function, True)". For what has no name, its last part says what it is (hogwild.own_code.name_of).
    """
    name = next((name for name in SHIPPED if metric is getattr(hogwild.metrics, name)), None)
    if name is not None:
        return name
    if isinstance(metric, Mean) and (k := k_of(metric)):
        return f"top_k({k})"
    if isinstance(metric, Whole):
        return f"whole({name_of(metric.function)}, {metric.larger_is_better})"
    return name_of(metric)


def from_record(specs: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """The metrics by name, and lines on those that have no name to import and are left out."""
    found: dict[str, Any] = {}
    lines = []
    for name, spec in specs.items():
        named = _WHOLE.fullmatch(spec)
        function = named[1] if named else spec
        if spec in SHIPPED:
            found[name] = getattr(hogwild.metrics, spec)
        elif k := _TOP_K.fullmatch(spec):
            found[name] = top_k(int(k[1]))
        elif not is_name(function):
            lines.append(f"metric {name} of this run was {function}, which has no name to import: it is left out")
        else:
            value = own.resolve(function, f"metric {name}")
            found[name] = whole(value, _DIRECTIONS[named[2]]) if named else value
    return found, lines
