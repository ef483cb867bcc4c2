"""Access policies: one process and two on one shared model, with no compute between pushes and with more and more."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.pushers import Order, Pushers, Tally, rate
from bench.scale import SCALE
from bench.timing import interleave
from hogwild.rules import Access

Turn = Callable[[], float]


def pushing(pushers: Pushers, order: Order, processes: int, tallies: list[list[Tally]]) -> Turn:
    """A turn of pushing. Its figure is pushes per second; its other counts are appended to `tallies`."""

    def turn() -> float:
        pushers.reset()
        tallies.append(pushers.run(order, processes))
        return rate(tallies[-1], order.window_s)

    return turn


@pytest.mark.benchmark(group="policies: no compute")
@pytest.mark.parametrize("size", SCALE.policy_sizes)
@pytest.mark.parametrize("rule", ["add", "gap"])
def test_pushes_per_second(benchmark: BenchmarkFixture, size: str, rule: str) -> None:
    n, window_s = SCALE.policy_sizes[size], SCALE.policy_windows_s[size]
    lost: dict[str, list[float]] = {}
    with Pushers(n) as pushers:
        half_s = pushers.run(Order(Access.RACING, rule, window_s), 1)[0].push_s / 2

        def contestant(name: str, order: Order, processes: int) -> Turn:
            tallies: list[list[Tally]] = []
            push = pushing(pushers, order, processes, tallies)

            def turn() -> float:
                figure = push()
                if order.rule == "add":
                    lost.setdefault(name, []).append(pushers.lost_fraction(tallies[-1]))
                return figure

            return turn

        turns = {
            name: contestant(name, order, processes)
            for processes in (1, 2)
            for name, order in {
                **{key(a, processes): Order(a, rule, window_s, lag_s=half_s) for a in Access},
                f"racing in step x {processes}": Order(Access.RACING, rule, window_s),
                f"private memory x {processes}": Order(Access.RACING, "private", window_s),
            }.items()
            if (name, processes) != ("racing in step x 1", 1)
        }
        figures = interleave(benchmark, turns, SCALE.policy_rounds)
    may_lose = (key(Access.RACING, 2), "racing in step x 2")
    for name, fractions in lost.items():
        assert name in may_lose or set(fractions) == {0.0}, f"{name} lost updates: {fractions}"
    benchmark.extra_info.update(n=n, rule=rule, pushes_per_s=figures, lost=lost)


def key(access: Access, processes: int) -> str:
    return f"{access.value} x {processes}"


@pytest.mark.benchmark(group="policies: compute between pushes")
def test_compute_between_pushes(benchmark: BenchmarkFixture) -> None:
    with Pushers(SCALE.sweep_size) as pushers:
        idle = [pushers.run(Order(Access.RACING, "add", SCALE.sweep_window_s), 1)[0] for _ in range(3)]
        step_s = statistics.median(tally.push_s for tally in idle)
        alone: dict[float, list[list[Tally]]] = {ratio: [] for ratio in SCALE.sweep_ratios}
        turns = {}
        for ratio in SCALE.sweep_ratios:
            order = Order(Access.RACING, "add", SCALE.sweep_window_s, compute_s=ratio * step_s)
            turns[f"one x {ratio}"] = pushing(pushers, order, 1, alone[ratio])
            for access in (Access.RACING, Access.STRIPED, Access.LOCKED):
                order = Order(access, "add", SCALE.sweep_window_s, compute_s=ratio * step_s)
                turns[f"{access.value} x {ratio}"] = pushing(pushers, order, 2, [])
        figures = interleave(benchmark, turns, SCALE.sweep_rounds)
    points = []
    for ratio, tallies in alone.items():
        single = [tally for turn in tallies[1:] for tally in turn]
        points.append(
            {
                "compute_s": statistics.median(tally.compute_s for tally in single),
                "step_s": statistics.median(tally.push_s for tally in single),
                **{name: figures[f"{name} x {ratio}"] for name in ("one", "racing", "striped", "locked")},
            }
        )
    benchmark.extra_info.update(n=SCALE.sweep_size, points=points)
