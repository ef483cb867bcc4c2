"""The record of a benchmark's rounds: median and spread of each contestant, and the ratios between contestants.

A ratio compares the figures of the same round: it is the median over the rounds of their quotient. It does not follow
from the medians, so it is recorded too.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

DIGITS = 9  # significant digits, more than a report shows
STATS = ("median", "min", "max", "iqr", "rounds")


@dataclass(frozen=True)
class Sample:
    """One contestant over all rounds. `over[other]`: median over the rounds of its figure divided by the other's."""

    median: float
    min: float
    max: float
    iqr: float
    rounds: int
    over: Mapping[str, float]


def compact(content: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON to record, without raw rounds. Of pytest-benchmark's file it has the parts that a report reads."""
    if "benchmarks" not in content:
        return _compact(content)
    kept = ("machine_info", "commit_info", "benchmarks")
    benchmarks = [
        {
            **{key: benchmark[key] for key in ("name", "group", "param")},
            "stats": {key: _rounded(benchmark["stats"][key]) for key in STATS},
            "extra_info": _compact(benchmark["extra_info"]),
        }
        for benchmark in content["benchmarks"]
    ]
    return {**{key: content[key] for key in kept}, "benchmarks": benchmarks}


def _compact(value: Any) -> Any:
    """Lists of numbers in one mapping are common rounds of its contestants, and so are the `seconds` of its mappings.

    The latter have many contestants, so only the ratios of the first one to the others, and back, are recorded.
    """
    if isinstance(value, list):
        return [_compact(item) for item in value]
    if not isinstance(value, dict):
        return _rounded(value) if isinstance(value, float) else value
    rounds = {name: item for name, item in value.items() if _is_rounds(item)}
    timed = {name: item["seconds"] for name, item in value.items() if _is_timed(item)}
    found = {}
    for name, item in value.items():
        if name in rounds:
            found[name] = _sample(item, _without(name, rounds))
        elif name in timed:
            first = next(iter(timed))
            others = _without(name, timed) if name == first else {first: timed[first]}
            found[name] = {**_compact(_without("seconds", item)), "seconds": _sample(item["seconds"], others)}
        else:
            found[name] = _compact(item)
    return found


def _without(name: str, mapping: Mapping[str, Any]) -> dict[str, Any]:
    return {other: item for other, item in mapping.items() if other != name}


def _is_rounds(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, int | float) for item in value)


def _is_timed(value: object) -> bool:
    return isinstance(value, dict) and _is_rounds(value.get("seconds"))


def _sample(figures: Sequence[float], others: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    low, _, high = statistics.quantiles(figures, n=4, method="inclusive") if len(figures) > 1 else [figures[0]] * 3
    spread = {"min": min(figures), "max": max(figures), "iqr": high - low}
    over = {other: _ratio(figures, those) for other, those in others.items() if all(those)}
    found = {"median": statistics.median(figures), **spread, "rounds": len(figures)}
    return {key: _rounded(x) for key, x in found.items()} | {"over": {key: _rounded(x) for key, x in over.items()}}


def _ratio(a: Sequence[float], b: Sequence[float]) -> float:
    return statistics.median(x / y for x, y in zip(a, b, strict=True))


def _rounded(number: float) -> float:
    return number if isinstance(number, int) else float(f"{number:.{DIGITS}g}")


def parse(value: Any) -> Any:
    """The compact JSON, with each mapping that describes a Sample replaced by it."""
    if isinstance(value, list):
        return [parse(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "over" in value:
        return Sample(**value)
    return {name: parse(item) for name, item in value.items()}


def text(value: Any, indent: str = "") -> str:
    """JSON with a line for each contestant."""
    if not isinstance(value, dict | list) or _fits_a_line(value):
        return json.dumps(value)
    deeper = indent + " "
    if isinstance(value, dict):
        lines = [f"{deeper}{json.dumps(name)}: {text(item, deeper)}" for name, item in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    return "[\n" + ",\n".join(deeper + text(item, deeper) for item in value) + f"\n{indent}]"


def _fits_a_line(value: dict[str, Any] | list[Any]) -> bool:
    nested = [item for item in (value.values() if isinstance(value, dict) else value) if isinstance(item, dict | list)]
    return not nested or "over" in value or ("seconds" in value and "over" in value["seconds"])
