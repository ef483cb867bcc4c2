"""The whole trainer against a plain loop, and against itself with one worker: samples per second, start-up left out."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import nn

from bench.hogwild_loop import Setting, samples_per_s
from bench.scale import SCALE
from bench.timing import interleave
from hogwild.library import fit
from hogwild.tasks import TensorSplit, build_model, load
from hogwild.tasks.data import Data, Split

DATA = "fashion_mnist" if os.environ.get("HOGWILD_DATA") else "digits"
BATCH_SIZE = 64
MOMENTUM = 0.9
LR = 0.005
TEST_SAMPLES = 1000
CHANCE = 0.1


def first(split: Split, samples: int) -> Split:
    return TensorSplit(*split.batch(torch.arange(min(samples, len(split))), train=False))


def accuracy(model: nn.Module, data: Data) -> float:
    with torch.no_grad():
        inputs, targets = data.test.batch(torch.arange(len(data.test)), train=False)
        right, count = data.score(model.eval()(inputs), targets)
    return right / count


@pytest.mark.timeout(300)
@pytest.mark.benchmark(group="trainer")
@pytest.mark.parametrize("name", SCALE.train_steps)
def test_samples_per_second(benchmark: BenchmarkFixture, name: str, tmp_path: Path) -> None:
    data = load(DATA)
    few = first(data.test, TEST_SAMPLES)
    data = replace(data, test=few)
    for tensor in data.train.tensors().values():
        tensor.share_memory_()
    steps = SCALE.train_steps[name]
    reached: dict[str, list[float]] = {}

    build = partial(build_model, name, replace(data, train=few))

    def note(contestant: str, value: float) -> None:
        assert value > 2 * CHANCE, f"{contestant} has learned nothing: accuracy {value:.2f}"
        reached.setdefault(contestant, []).append(value)

    def trainer(workers: int, read: str = "snapshot") -> float:
        result = fit(
            build, data, algorithm="shifted", momentum=MOMENTUM, workers=workers, lr=LR, read=read,
            batch_size=BATCH_SIZE, updates=steps * workers, eval_every=0, ckpt_every=0, out=str(tmp_path),
            name=f"{workers}", overwrite=True,
        )  # fmt: skip
        assert result.summary["updates"] == steps * workers
        note(f"hogwild{' in place' * (read == 'inplace')}, {workers}", result.summary["test_accuracy"])
        return float(result.summary["samples_per_s"])

    def loop() -> float:
        torch.manual_seed(0)
        shared = build().share_memory()
        figure = samples_per_s(Setting(data, shared, BATCH_SIZE, LR, MOMENTUM, steps), 2)
        note("plain loop, 2", accuracy(shared, data))
        return figure

    turns = {
        "hogwild, 2": lambda: trainer(2),
        "hogwild in place, 2": lambda: trainer(2, "inplace"),
        "plain loop, 2": loop,
        "hogwild, 1": lambda: trainer(1),
    }
    figures = interleave(benchmark, turns, SCALE.train_rounds)
    benchmark.extra_info.update(
        data=DATA, model=name, batch_size=BATCH_SIZE, momentum=MOMENTUM, steps=steps, samples_per_s=figures,
        accuracy=reached,
    )  # fmt: skip
