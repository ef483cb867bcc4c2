"""The cost of the timeline: six changes of phase against the step of an mlp worker."""

from __future__ import annotations

import time

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from hogwild.kernels.control import Control, Phase
from hogwild.tasks import build_model, load

CHANGES, CALLS, STEPS, BATCH = 6, 20_000, 50, 32


@pytest.mark.benchmark(group="timeline")
def test_it_costs_less_than_a_hundredth_of_a_step(benchmark: BenchmarkFixture) -> None:
    memory = torch.zeros(Control.bytes(1, 1) + 128, dtype=torch.uint8)
    control = Control(-(-memory.data_ptr() // 128) * 128, 1, 1, create=True)
    data = load("digits")
    module = build_model("mlp", data)
    inputs, targets = data.train.batch(torch.arange(BATCH), train=True)

    def changes() -> None:
        for _ in range(CALLS // 2):
            control.set_phase(0, Phase.DATA)
            control.set_phase(0, Phase.GRADIENT)

    def steps() -> float:
        began = time.perf_counter()
        for _ in range(STEPS):
            torch.nn.functional.cross_entropy(module(inputs), targets).backward()
        return (time.perf_counter() - began) / STEPS

    step_s = min(steps() for _ in range(5))
    benchmark.pedantic(changes, rounds=10, warmup_rounds=1)
    cost = CHANGES * benchmark.stats.stats.min / CALLS / step_s
    benchmark.extra_info["share_of_a_step"] = cost
    assert cost < 0.01, f"{100 * cost:.2f} % of a gradient's {1000 * step_s:.2f} ms"
