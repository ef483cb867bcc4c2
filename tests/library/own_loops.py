"""Loops of one's own, for hogwild.launch. The workers import this module."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from small_fits import samples, two
from torch import Tensor, nn

import hogwild


def loss_of(worker: hogwild.Worker) -> Tensor:
    x, y = samples(33)
    return nn.functional.cross_entropy(worker.model(x), y)


def launch(fn, model=two, **options) -> hogwild.Result:
    return hogwild.launch(fn, model, **{"workers": 1, "lr": 0.1, **options})


def lines(result: hogwild.Result, kind: str) -> list[dict]:
    events = map(json.loads, (Path(result.path) / "metrics.jsonl").read_text().splitlines())
    return [event for event in events if event["kind"] == kind]


def endless(worker: hogwild.Worker) -> None:
    while True:
        worker.step(loss_of(worker), samples=33)


def one() -> nn.Module:
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    return model


def up(worker: hogwild.Worker) -> list[float]:
    """Every gradient is -1, so the weight is the sum of the learning rates."""
    rates = []
    while not worker.should_stop:
        rates.append(worker.lr)
        worker.step(-worker.model(torch.ones(1, 1)).sum())
    return rates
