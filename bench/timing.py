"""The timing of all benchmarks: contestants take turns, so that a drift of the machine affects all equally."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping

from pytest_benchmark.fixture import BenchmarkFixture


def interleave(
    benchmark: BenchmarkFixture, contestants: Mapping[str, Callable[[], float]], rounds: int
) -> dict[str, list[float]]:
    """Run `rounds` rounds A B C ... A B C ... after one that does not count. Returns the figures of each contestant.

    A contestant takes its turn and returns its figure (seconds, or a rate). pytest-benchmark times the first
    contestant; the others run in the set-up of its rounds. The garbage collector is off meanwhile.
    """
    figures: dict[str, list[float]] = {name: [] for name in contestants}
    first, *others = contestants

    def play(name: str) -> None:
        figures[name].append(contestants[name]())

    def play_others() -> None:
        for name in others:
            play(name)

    gc.collect()
    gc.disable()
    try:
        benchmark.pedantic(play, args=(first,), setup=play_others, rounds=rounds, warmup_rounds=1)
    finally:
        gc.enable()
    return {name: values[1:] or values for name, values in figures.items()}


def seconds_per_call(call: Callable[[], object], calls: int) -> Callable[[], float]:
    """A contestant: its turn is `calls` calls in a row, its figure is the mean time of one call."""

    def turn() -> float:
        began = time.perf_counter()
        for _ in range(calls):
            call()
        return (time.perf_counter() - began) / calls

    return turn
