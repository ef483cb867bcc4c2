"""Workers of algorithms with tables, ledgers or relayed sums are killed on real processes, replaced or not."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from command_runs import BATCHES, ENDLESS, SAMPLES
from slow import rest_is_slow

from hogwild.config import Config
from hogwild.drivers.processes.trainer import Trainer
from hogwild.runs.console import Console
from hogwild.runs.directory import RunDirectory

KEEPERS = ["ia2sgd", "ringleader", "malenia", "area", "relaysgd", "streaming-diloco", "overlap-sgd", "sparta"]
OPTIONS = {"streaming-diloco": {"period": 12, "overlap": 2}, "overlap-sgd": {"period": 3}, "ringleader": {"lr": 0.2}}


def options(algorithm: str) -> dict[str, object]:
    return {"access": "locked"} | OPTIONS.get(algorithm, {})


@pytest.mark.parametrize("algorithm", rest_is_slow(KEEPERS, {"ia2sgd", "relaysgd"}))
def test_three_workers_learn(tmp_path: Path, algorithm: str):
    """With evaluations and checkpoints in between: the gate closes while barriers are half passed."""
    config = Config.from_values(
        {"algorithm": algorithm, "workers": 3, "epochs": 8, "out": str(tmp_path), **options(algorithm)}
    )
    run = RunDirectory.create(config)
    try:
        summary = Trainer.of(config, run, Console(quiet=True)).run()
    finally:
        run.close()
    assert summary["samples"] == 8 * SAMPLES
    assert sum(summary["delay_histogram"].values()) == 8 * BATCHES
    assert summary["test_accuracy"] > 0.85


@pytest.mark.slow
@pytest.mark.parametrize("respawn", [0, 1])
@pytest.mark.parametrize("algorithm", KEEPERS)
def test_a_killed_worker_is_left_out_or_replaced(start, algorithm: str, respawn: int):
    flags = [part for name, value in options(algorithm).items() for part in (f"--{name.replace('_', '-')}", value)]
    run = start("--algorithm", algorithm, "--workers", 3, "--respawn", respawn, "--record", *flags, *ENDLESS)
    run.wait_for_workers(3)
    run.wait_for_pushes(30)
    pids = run.pids()
    os.kill(pids[1], signal.SIGKILL)
    assert run.wait_for_death()["worker"] == 1
    if respawn:
        run.wait_for(lambda: run.pids()[1] != pids[1], "worker 1 is replaced")
        run.wait_for_pushes(10, 1)
    run.wait_for_pushes(60)
    epochs, summary, stderr = run.finish()
    assert summary["samples"] == epochs * SAMPLES, stderr
    assert summary["test_accuracy"] > 0.8
