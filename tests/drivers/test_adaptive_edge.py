"""The live edge ratio of adaptive rules, and the size of their steps."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import hogwild
from hogwild.config import Config
from hogwild.drivers.checkpoints import store
from hogwild.errors import UsageError
from hogwild.theory import stability

N, DELAY = 250, 5  # the batch of the curvature is the whole training set


@pytest.fixture(autouse=True)
def _in_a_directory_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)


def data() -> tuple[Tensor, Tensor]:
    """[N, 5] on axes of different sizes, correlated; targets [N, 1]."""
    x = torch.randn(N, 5, generator=torch.Generator().manual_seed(3)) * torch.tensor([3.0, 1.0, 0.3, 2.0, 0.1])
    x[:, 1] += x[:, 0]
    return x, x @ torch.tensor([1.0, -2.0, 0.5, 3.0, 1.0])[:, None]


def line() -> nn.Module:
    return nn.Linear(5, 1, bias=False)


def half_mean_square(output: Tensor, target: Tensor) -> Tensor:
    return (output - target).square().mean() / 2


def fit(**options: Any) -> tuple[hogwild.Result, list[dict[str, Any]]]:
    """A run of full batches under a constant delay, and its edge lines."""
    values = {"lr": 0.01, "updates": 40, "clock": f"const:{DELAY}", "edge_every": 20, **options}
    result = hogwild.fit(line, (data(), None), half_mean_square, workers=1, batch_size=N, eval_every=0, **values)
    lines = [json.loads(text) for text in (Path(result.path) / "metrics.jsonl").read_text().splitlines()]
    return result, [event for event in lines if event["kind"] == "edge"]


ADAPTIVE: list[tuple[dict[str, Any], tuple[str, float], Any]] = [
    ({"algorithm": "adamw", "momentum_kind": "dana-slim"}, ("dana", 0.9), lambda q, bc2: (q / bc2).sqrt() + 1e-8),
    ({"algorithm": "adamw", "momentum_kind": "shifted"}, ("shifted", 0.9), lambda q, bc2: (q / bc2).sqrt() + 1e-8),
    (
        {"algorithm": "adamw", "momentum_kind": "heavy-ball", "beta1": 0.5},
        ("standard", 0.5),
        lambda q, bc2: (q / bc2).sqrt() + 1e-8,
    ),
    ({"algorithm": "rmsprop"}, ("none", 0.0), lambda q, _: (q + 0.1).sqrt()),
    ({"algorithm": "rmsprop", "eps_inside": False}, ("none", 0.0), lambda q, _: q.sqrt() + 0.1),
    ({"algorithm": "adagrad", "eps": 1e-3}, ("none", 0.0), lambda q, _: q.sqrt() + 1e-3),
]


@pytest.mark.parametrize(("options", "rule", "divisor"), ADAPTIVE)
def test_the_ratio_is_that_of_the_preconditioned_hessian(options, rule, divisor):
    result, edges = fit(**options)
    assert [edge["updates"] for edge in edges] == [20, 40]
    state = store.load(Path(result.path) / "ckpt").state
    q = state["buffers"]["q"][0][:5].double()
    by = divisor(q, 1 - 0.999**40).rsqrt()
    x = data()[0].double()
    curvature = torch.linalg.eigvalsh(by[:, None] * (x.T @ x / N) * by).max().item()
    assert edges[-1]["curvature"] == pytest.approx(curvature, rel=0.02)
    name, beta1 = rule
    assert edges[-1]["threshold"] == pytest.approx(stability.threshold(name, DELAY, beta1, beta1), rel=1e-6)
    assert edges[-1]["ratio"] == pytest.approx(edges[-1]["curvature"] * 0.01 / edges[-1]["threshold"])


def test_a_q_that_does_not_keep_up_is_told_once(capsys):
    accumulator = {"algorithm": "adagrad", "initial_accumulator": 1e12}  # D is 1e6, whatever the gradients are
    top = torch.linalg.eigvalsh(data()[0].T @ data()[0] / N).max().item()
    edge = stability.threshold("none", DELAY, 0.0, 0.0) * 1e6 / top
    for share, warnings in ((0.9, 0), (1.5, 0), (2.5, 1)):
        _, edges = fit(lr=share * edge, updates=20, **accumulator)
        assert edges[0]["ratio"] == pytest.approx(share, rel=0.3)  # the first delays are shorter
        told = [text for text in capsys.readouterr().err.splitlines() if "edge ratio" in text]
        assert len(told) == warnings
        assert all("q of adagrad has not kept up" in text for text in told)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"algorithm": "lion"}, "no stability theory is known for algorithm lion"),
        ({"algorithm": "adamw", "q_scope": "worker"}, "no stability theory is known for algorithm adamw"),
        ({"algorithm": "adamw", "penalty": "staleness-lr", "momentum_kind": "shifted"}, "no stability theory"),
    ],
)
def test_without_a_theory_it_is_refused(options, message):
    with pytest.raises(UsageError, match=message):
        Config.from_values({**options, "edge_every": 9})


def test_no_learning_rate_follows_for_adaptive_rules():
    with pytest.raises(UsageError, match="--lr auto: no lr of adamw follows from that of SGD"):
        Config(algorithm="adamw", lr="auto")


# ---- the size of steps --------------------------------------------------------------------------------------


def last_train(result: hogwild.Result) -> dict[str, Any]:
    lines = [json.loads(text) for text in (Path(result.path) / "metrics.jsonl").read_text().splitlines()]
    return [event for event in lines if event["kind"] == "train"][-1]


@pytest.mark.parametrize("schedule", ["constant", "linear"])
@pytest.mark.parametrize("clock", ["round-robin", None])
def test_the_steps_of_lion_are_as_long_as_lr(clock, schedule):
    result, _ = fit(algorithm="lion", clock=clock, edge_every=0, schedule=schedule)
    assert result.summary["step_per_lr"] == pytest.approx(1.0, rel=2e-2)
    assert last_train(result)["step_per_lr"] == pytest.approx(1.0, rel=2e-2)


def test_the_size_of_steps_is_that_of_the_moved_weights():
    """Equal gradients: Adagrad's step t is lr / sqrt(t), so the mean of (step / lr)^2 over n is H(n) / n."""
    result = hogwild.fit(
        line, (torch.ones(9, 5), torch.zeros(9, 1)), lambda output, target: output.mean(), algorithm="adagrad",
        lr=0.1, workers=1, batch_size=9, updates=8, clock="round-robin",
    )  # fmt: skip
    harmonic = sum(1 / t for t in range(1, 9))
    assert result.summary["step_per_lr"] == pytest.approx(math.sqrt(harmonic / 8), rel=1e-4)
    assert "step_per_lr" not in hogwild.simulate(line, (data(), None), half_mean_square, updates=2, lr=1e-3).summary
