"""Pair averages by two processes at once: chunk locks, compared with no locks and with compare-and-exchange."""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.loops import Loops
from bench.pairs import COMPILED, LOCKED, REPLICAS, Averagers, Order
from bench.scale import SCALE
from bench.timing import interleave

ROUNDING = 1e-4  # largest change of the sum by float32 rounding


@pytest.mark.benchmark(group="pair averages")
def test_pair_averages_per_second(benchmark: BenchmarkFixture, loops: Loops | str) -> None:
    drift: dict[str, list[float]] = {}
    skipped: dict[str, list[float]] = {}
    with Averagers(SCALE.pair_size, compiled=not isinstance(loops, str)) as averagers:

        def turn(way: str) -> float:
            total = averagers.reset()
            tallies = averagers.run(Order(way, SCALE.pair_window_s), 2)
            drift.setdefault(way, []).append(float((averagers.sum() - total).square().mean().sqrt()))
            skipped.setdefault(way, []).append(sum(tally.skipped for tally in tallies) / 2)
            return sum(tally.pairs for tally in tallies) / SCALE.pair_window_s

        turns = {way: (lambda way=way: turn(way)) for way in averagers.ways}
        per_s = interleave(benchmark, turns, SCALE.pair_rounds)
    for way in LOCKED:
        assert max(drift[way]) < ROUNDING, f"{way} lost updates: the sum moved by {max(drift[way]):.1e}"
    benchmark.extra_info.update(
        n=SCALE.pair_size, replicas=REPLICAS, pairs_per_s=per_s, drift=drift, skipped=skipped,
        left_out=dict.fromkeys(COMPILED, loops) if isinstance(loops, str) else {},
    )  # fmt: skip
