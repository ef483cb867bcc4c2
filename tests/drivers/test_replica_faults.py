"""Workers with replicas that are killed or stopped in a real run: the run continues, counts every sample, and ends."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import random
import signal
from pathlib import Path

import pytest
import torch
from command_runs import ENDLESS, SAMPLES
from torch import Tensor, nn

import hogwild

ALGORITHMS = {
    "ad-psgd": ("--lr", 0.05),
    "easgd": ("--period", 1),
    "d-psgd": ("--lr", 0.05),
    "local-sgd": ("--period", 4),
    "sgp": ("--lr", 0.05),
}
LONG = [pytest.param(name, 30, marks=pytest.mark.slow) for name in ALGORITHMS]


@pytest.mark.parametrize(("algorithm", "kills"), [pytest.param("easgd", 3, marks=pytest.mark.slow), *LONG])
def test_random_kills_and_every_sample_is_seen(start, algorithm: str, kills: int):
    run = start("--algorithm", algorithm, "--workers", 3, "--respawn", kills, *ALGORITHMS[algorithm], *ENDLESS)
    run.kill_workers(kills, random.Random(11))
    run.wait_for_faults(kills)
    epochs, summary, _ = run.finish(40)
    assert summary["samples"] == epochs * SAMPLES
    assert len(run.lines("fault")) == kills
    assert summary["test_accuracy"] > 0.85


class StopsOneWorker(nn.Module):
    """The first worker that computes a gradient writes its process's number to `stopped` and stops itself in it."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        if self.training and multiprocessing.parent_process() is not None:
            with contextlib.suppress(FileExistsError), open("stopped", "x") as file:
                file.write(str(os.getpid()))
                file.flush()
                os.kill(os.getpid(), signal.SIGSTOP)
        return self.linear(inputs)


def test_a_run_whose_last_batch_is_with_a_stopped_worker_ends(tmp_path: Path, monkeypatch):
    """It is named, killed when all others have waited for it, and its batch is computed by another worker."""
    monkeypatch.chdir(tmp_path)  # that of the workers too
    inputs = torch.randn(203, 4, generator=torch.Generator().manual_seed(1))
    data = (inputs, inputs[:, :3].argmax(1))
    result = hogwild.fit(
        StopsOneWorker,
        (data, data),
        algorithm="ad-psgd",
        workers=3,
        epochs=2,
        batch_size=10,
        lr=0.05,
        stall_timeout=1.0,
        kill_stalled=0.5,
        takeover=False,
    )
    assert result.summary["samples"] == 2 * 203
    pid = int((tmp_path / "stopped").read_text())
    lines = map(json.loads, (Path(result.path) / "metrics.jsonl").read_text().splitlines())
    faults = [line for line in lines if line["kind"] == "fault"]
    [died] = [line for line in faults if line["reason"] == "died"]
    assert f"worker {died['worker']} (pid {pid}) died: SIGKILL" in died["message"]
    before = [line["message"] for line in faults[: faults.index(died)] if line["reason"] == "stalled"]
    assert any(f"worker {died['worker']} has made no progress for" in line for line in before)
