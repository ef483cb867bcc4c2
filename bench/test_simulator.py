"""The simulator against a plain single-process loop on the same model and batches: the cost of 32 simulated workers."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import nn

from bench.scale import SCALE
from bench.test_trainer import BATCH_SIZE, LR, MOMENTUM, TEST_SAMPLES, first
from bench.timing import interleave
from hogwild.drivers.job.batches import BatchOrder
from hogwild.library import fit
from hogwild.tasks import Data, ImageSplit, build_model, load

WORKERS = 32
SAMPLES = 8192  # number of noise samples, used if there are no data
TOLERANCE = 1e-2  # rounding grows over the steps; a wrong batch or a lost update gives far more


def images() -> Data:
    """Fashion-MNIST; if it is missing, noise of the same shape, which takes the same time."""
    if os.environ.get("HOGWILD_DATA"):
        data = load("fashion_mnist")
        return replace(data, test=first(data.test, TEST_SAMPLES))
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(256, (SAMPLES, 1, 28, 28), generator=generator, dtype=torch.uint8)
    split = ImageSplit(noise, torch.randint(10, (SAMPLES,), generator=generator), mean=(0.5,), std=(0.3,))
    return Data("noise 28x28", split, first(split, TEST_SAMPLES), (1, 28, 28), 10, "image")


@pytest.mark.timeout(300)
@pytest.mark.benchmark(group="simulator")
@pytest.mark.parametrize("name", SCALE.simulator_steps)
def test_updates_per_second(benchmark: BenchmarkFixture, name: str, tmp_path: Path) -> None:
    data = images()
    order = BatchOrder(len(data.train), BATCH_SIZE, seed=0)
    steps = min(SCALE.simulator_steps[name], order.tickets_per_epoch)
    build = partial(build_model, name, data)
    models: dict[str, nn.Module] = {}
    torch.manual_seed(0)
    start = build()

    def loop() -> float:
        torch.manual_seed(0)
        model = build().train()
        optimizer = torch.optim.SGD(model.parameters(), lr=LR, momentum=MOMENTUM)
        began = time.perf_counter()
        for step in range(steps):
            inputs, targets = data.train.batch(order.indices(step), train=True)
            optimizer.zero_grad()
            loss = data.loss(model(inputs), targets)
            loss.backward()
            optimizer.step()
        models["plain loop"] = model
        return steps / (time.perf_counter() - began)

    def simulator(workers: int) -> float:
        result = fit(
            build, data, algorithm="asgd", momentum=MOMENTUM, workers=workers, clock="gamma", lr=LR,
            batch_size=BATCH_SIZE, updates=steps, eval_every=0, out=str(tmp_path), name=f"{workers}", overwrite=True,
        )  # fmt: skip
        assert result.summary["updates"] == steps
        models[f"simulator, {workers}"] = result.model
        return float(result.summary["samples_per_s"]) / BATCH_SIZE

    turns = {
        f"simulator, {WORKERS}": lambda: simulator(WORKERS),
        "plain loop": loop,
        "simulator, 1": lambda: simulator(1),
    }
    figures = interleave(benchmark, turns, SCALE.simulator_rounds)
    ours, theirs, begin = (
        nn.utils.parameters_to_vector(model.parameters()).detach()
        for model in (models["simulator, 1"], models["plain loop"], start)
    )
    error = float((ours - theirs).norm() / (theirs - begin).norm())
    assert error < TOLERANCE, f"one simulated worker ends {error:.1e} of the way from the plain loop"
    benchmark.extra_info.update(
        simulator=name, data=data.name, workers=WORKERS, parameters=theirs.numel(), steps=steps, updates_per_s=figures
    )
