"""Runs with callbacks, and a callback that notes all that it is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from small_fits import samples, two
from torch import Tensor

import hogwild
from hogwild.drivers.checkpoints import store

DRIVERS = pytest.mark.parametrize("clock", [None, "gamma"], ids=["processes", "simulator"])


def fit(*callbacks: hogwild.Callback, model=two, dataset=None, **options) -> hogwild.Result:
    values = {"epochs": 3, "batch_size": 11, "lr": 0.1, "workers": 1, "device": "cpu", **options}
    return hogwild.fit(model, dataset or (samples(), samples(50)), callbacks=callbacks, **values)


def lines(result: hogwild.Result, kind: str) -> list[dict]:
    events = map(json.loads, (Path(result.path) / "metrics.jsonl").read_text().splitlines())
    return [event for event in events if event["kind"] == kind]


class Diary(hogwild.Callback):
    """Notes every call, with what the run then says."""

    copies_every = 7

    def __init__(self) -> None:
        self.calls: list[tuple[str, int, int]] = []
        self.models: dict[tuple[str, int], Tensor] = {}
        self.summary: dict = {}
        self.error: BaseException | None = None

    def note(self, hook: str, run: hogwild.Run) -> None:
        self.calls.append((hook, run.updates, run.samples))
        self.models[hook, run.updates] = run.model.weight.detach().clone()

    def on_start(self, run):
        self.note("start", run)
        assert run.metrics == {}

    def on_copy(self, run):
        self.note("copy", run)

    def on_eval(self, run):
        self.note("eval", run)
        assert {"test_loss", "test_accuracy"} <= run.metrics.keys()
        run.metrics["weights"] = run.model.weight.sum().item()

    def on_checkpoint(self, run):
        self.note("checkpoint", run)
        saved = store.load(run.checkpoint.parent, run.checkpoint.name)
        assert saved.step == run.updates
        assert torch.equal(saved.state["parameters"]["weight"], run.model.weight)

    def on_end(self, run):
        self.summary, self.error = run.summary, run.error
