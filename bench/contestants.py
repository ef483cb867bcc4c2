"""Benchmark contestants: calls that do the same work on n parameters each, and are timed together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor, cat

from bench.timing import interleave, seconds_per_call
from hogwild import reference

TURN_PARAMETERS = 1 << 22  # a turn covers at least this number of parameters, to be long enough to time
PROBE = 4096  # number of elements at either end that are compared with the reference
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Contestant:
    """`call` runs once over all n parameters. `kind`: push (or another kernel of ours), rival, stream (memory traffic
    that bounds them), or call (a call without elements).
    """

    kind: str
    bytes: int  # bytes moved per parameter, each stream counted once per read and once per write
    call: Callable[[], object]
    error: float | None = None  # largest deviation from the reference, relative


def compete(benchmark: BenchmarkFixture, n: int, contestants: Mapping[str, Contestant], rounds: int) -> None:
    calls = max(1, TURN_PARAMETERS // n)
    turns = {name: seconds_per_call(contestant.call, calls) for name, contestant in contestants.items()}
    benchmark.extra_info["n"] = n
    benchmark.extra_info["calls"] = calls
    figures = interleave(benchmark, turns, rounds)
    benchmark.extra_info["contestants"] = {
        name: {"kind": c.kind, "bytes": c.bytes, "error": c.error, "seconds": figures[name]}
        for name, c in contestants.items()
    }


def probe(tensor: Tensor) -> reference.Array:
    """Both ends, in float64."""
    array: reference.Array = cat([tensor[:PROBE], tensor[-PROBE:]]).double().cpu().numpy()
    return array


def deviation(found: Tensor, wanted: reference.Array) -> float:
    """Largest difference at both ends, relative to 1 + the wanted value."""
    return float(np.max(np.abs(probe(found) - wanted) / (1 + np.abs(wanted))))
