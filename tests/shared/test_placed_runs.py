"""Whole runs with the master in shards and on the host: workers, evaluation, checkpoints. On fake GPUs."""

from __future__ import annotations

from pathlib import Path

import fake_gpus
import fake_workers
import pytest
import torch
from slow import rest_is_slow

import hogwild
from hogwild.drivers.processes import trainer as processes
from hogwild.shared.placement import Placement


def samples(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    inputs = torch.randn(count, 4, generator=torch.Generator().manual_seed(seed))
    weights = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    return inputs, (inputs @ weights).argmax(1)


@pytest.mark.parametrize(
    ("shards", "algorithm"),
    rest_is_slow(
        [((0, 1), "gap-aware"), ((0, 1), "ad-psgd"), ((1,), "easgd"), ((), "dana-zero")], {((0, 1), "ad-psgd")}
    ),
)
def test_a_run_learns(
    shards: tuple[int, ...],
    algorithm: str,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake_workers.compute_on_the_cpu(monkeypatch)
    placement = Placement((0, 1), shards, fake_gpus.build(tmp_path_factory.mktemp("driver")))
    monkeypatch.setattr(processes, "place", lambda *_: placement)
    result = hogwild.fit(
        fake_workers.model, (samples(1000, 1), samples(300, 2)), algorithm=algorithm, workers=3, epochs=10,
        batch_size=20, lr=0.02, out=str(tmp_path),
    )  # fmt: skip
    assert result.summary["test_accuracy"] > 0.7  # a guess: 1/3
    assert result.summary["device"] == "cuda:0, cuda:1"
    assert result.summary["master"] == placement.master
    assert result.summary["faults"] == 0
    inputs, targets = samples(300, 2)
    result.model.eval()
    accuracy = (result.model(inputs).argmax(1) == targets).float().mean().item()
    assert accuracy == pytest.approx(result.summary["test_accuracy"])
    assert {path.name for path in (Path(result.path) / "ckpt").iterdir()} >= {"best"}
