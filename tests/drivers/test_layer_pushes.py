"""Parameters that are pushed before the whole gradient is there: one worker's steps are the same, delays smaller."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import hogwild
from hogwild.algorithms import REGISTRY
from hogwild.config import Config
from hogwild.drivers.simulated.layer_times import FORWARD, LayerTimes
from hogwild.drivers.view.layers import LEAST, early
from hogwild.errors import UsageError
from hogwild.library.result import Result
from hogwild.shared.layout import ParameterLayout
from hogwild.tasks import load

COMMON = {"lr": 0.05, "batch_size": 16, "guard": "element", "seed": 3, "eval_every": 0, "device": "cpu"}


def model() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 128), nn.Tanh(), nn.Linear(128, 128), nn.Tanh(), nn.Linear(128, 10)
    )


def train(folder: Path, **values: object) -> Result:
    return hogwild.fit(model, load("digits"), out=str(folder), **{**COMMON, **values})  # type: ignore[arg-type]


def flat(result: Result) -> torch.Tensor:
    return nn.utils.parameters_to_vector(result.model.parameters()).detach()


def test_the_last_layers_go_first_in_groups_that_are_worth_a_push():
    assert early([LEAST, 10, LEAST, 10]) == [[3, 2]]
    assert early([LEAST, 10, LEAST, LEAST]) == [[3], [2]]
    assert early([8, 8]) == []
    times = LayerTimes(ParameterLayout.of(nn.Sequential(nn.Linear(4095, 1), nn.Linear(4095, 1)), torch.float32))
    assert times.groups == [[3, 2]]
    assert times.shares == [FORWARD + (1 - FORWARD) / 2]


@pytest.mark.parametrize(
    "options",
    [
        {"algorithm": "asgd"},
        {"algorithm": "dana-slim", "weight_decay": 0.01},
        {"algorithm": "shifted", "momentum": 0.5},
    ],
    ids=str,
)
def test_one_simulated_worker_takes_the_same_steps(options: dict[str, object], tmp_path: Path):
    both = [
        train(tmp_path / str(on), workers=1, clock="gamma", updates=40, layer_pushes=on, **options)
        for on in (False, True)
    ]
    assert torch.equal(*map(flat, both))
    assert both[1].summary["element_delay"] == 0


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_every_algorithm_takes_parts_or_says_why_not(name: str, tmp_path: Path):
    options = {"algorithm": name, "workers": 1, "clock": "gamma", "updates": 2, "layer_pushes": True}
    try:
        Config.from_values({**COMMON, **options})
    except UsageError:
        return
    assert train(tmp_path, **options).summary["updates"] == 2


def test_early_parts_have_smaller_delays(tmp_path: Path):
    plain, apart = (
        train(tmp_path / str(on), workers=8, clock="gamma:cv=0.1", updates=240, layer_pushes=on) for on in (False, True)
    )
    assert plain.summary["delay"]["mean"] == pytest.approx(7, abs=0.2)
    early = (10 + 1280 + 128 + 16384) / 26122  # of the elements, after this share of the backward pass
    share = early * (FORWARD + (1 - FORWARD) * early) + 1 - early
    assert apart.summary["delay"]["mean"] == pytest.approx(7, abs=0.2), "of the last part"
    assert apart.summary["element_delay"] == pytest.approx(7 * share, rel=0.06)
    assert not torch.equal(flat(plain), flat(apart))


def test_a_rule_that_changes_is_refused(monkeypatch, tmp_path: Path):
    from hogwild.algorithms.stale.asgd import ASGD
    from hogwild.rules import HeavyBall

    def changing(self, w):
        w.pull()
        while True:
            g = yield hogwild.algorithms.base.Gradient(at=w.snapshot)
            w.push(g, momentum=HeavyBall(0.5 if w.steps % 2 else 0.6))

    monkeypatch.setattr(ASGD, "worker", changing)
    with pytest.raises(UsageError, match="one rule for all pushes"):
        train(tmp_path, workers=1, clock="gamma", updates=9, layer_pushes=True, algorithm="asgd", momentum=0.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"algorithm": "ssgd"}, "gathers or waits"),
        ({"algorithm": "k-batch-async", "clock": "gamma"}, "gathers or waits"),
        ({"algorithm": "easgd"}, "needs the other workers' buffers"),
        ({"algorithm": "ia2sgd", "clock": "gamma"}, "counts whole ones"),
        ({"algorithm": "ormo", "clock": "gamma"}, "counts whole ones"),
        ({"algorithm": "adamw"}, "counts whole ones"),
        ({"algorithm": "gap-aware"}, "takes a gap"),
        ({"algorithm": "dana-zero"}, "needs the snapshot"),
        ({"algorithm": "asgd", "compensation": "dc"}, "needs the snapshot"),
        ({"algorithm": "ringmaster"}, "drops late ones"),
        ({"algorithm": "picky"}, "drops late ones"),
        ({"clip": 1.0, "guard": "push"}, "clip 1 needs the norm"),
        ({"guard": "push"}, "add --guard element"),
        ({"access": "locked"}, "access locked"),
        ({"clock": "const:3"}, "draws no durations"),
        ({"device": "cuda"}, "add --device cpu"),
        ({"read": "inplace"}, "read inplace and layer_pushes"),
        ({"record": True}, "record and layer_pushes"),
    ],
)
def test_what_does_not_go_with_it_is_named(options: dict[str, object], message: str):
    with pytest.raises(UsageError, match=message):
        Config.from_values({"workers": 2, "layer_pushes": True, "guard": "element", **options})


@pytest.mark.slow
def test_workers_in_processes_push_early_too(tmp_path: Path):
    found = train(tmp_path, workers=2, updates=300, layer_pushes=True, access="atomic")
    assert found.summary["updates"] == 300
    assert 0 < found.summary["element_delay"] < found.summary["delay"]["mean"] + 0.2
    one = [train(tmp_path / str(on), workers=1, updates=60, layer_pushes=on) for on in (False, True)]
    assert torch.equal(*map(flat, one))
