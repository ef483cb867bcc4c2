"""Updates of several gradients on real processes: after any death no worker waits forever, and no sample is lost."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
import torch
from command_runs import gone

from hogwild.algorithms import REGISTRY
from hogwild.config import Config
from hogwild.drivers.checkpoints.state import State
from hogwild.drivers.processes.trainer import Trainer
from hogwild.drivers.view.worker_view import WorkerView
from hogwild.runs.console import Console
from hogwild.runs.directory import RunDirectory
from hogwild.shared.world import World

SAMPLES = 1437  # of the digits training split
BATCHES = 45  # an epoch
GATHERING = ["k-sync", "k-batch-sync", "k-async", "k-batch-async", "softsync"]


def flags(algorithm: str, epochs: int) -> list[object]:
    return ["--algorithm", algorithm, "--access", "locked", "--workers", 3, "--epochs", epochs,
            "--eval-every", 0, "--ckpt-every", 0]  # fmt: skip


@pytest.mark.parametrize("algorithm", GATHERING)
def test_three_workers_learn_and_every_gradient_is_in_one_update(tmp_path: Path, algorithm: str):
    """With evaluations and checkpoints in between: the gate closes while workers wait for an update."""
    k = {} if algorithm == "softsync" else {"k": 2}
    config = Config.from_values(
        {"algorithm": algorithm, "access": "locked", "workers": 3, "epochs": 10, "out": str(tmp_path), **k}
    )
    run = RunDirectory.create(config)
    try:
        summary = Trainer.of(config, run, Console(quiet=True)).run()
    finally:
        run.close()
    assert summary["samples"] == 10 * SAMPLES
    assert summary["updates"] == (150 if algorithm == "softsync" else 225)
    assert sum(summary["delay_histogram"].values()) == 10 * BATCHES
    assert summary["test_accuracy"] > 0.9
    if algorithm.endswith("-sync"):
        assert summary["delay"]["max"] == 0
    else:
        assert summary["dropped"] == 0


def test_the_others_go_on_without_a_killed_worker(start):
    """Three of three make an update. The slow worker is killed, so the others are waiting for it at that time."""
    run = start(*flags("k-sync", 30), "--straggler", "1:20")
    pids = run.wait_for_workers(3)
    time.sleep(0.1)
    os.kill(pids[1], signal.SIGKILL)
    code, summary, stderr = run.end()
    assert code == 0, stderr
    assert "2 of 3 continue, its work is assigned again" in stderr
    assert summary["samples"] == 30 * SAMPLES
    assert summary["updates"] > 30 * BATCHES // 3, "the two that are left make updates of two"
    assert summary["test_accuracy"] > 0.9


def test_a_killed_worker_that_waits_has_delivered_and_its_successor_goes_on(start):
    run = start(*flags("k-async", 30), "--straggler", "1:20", "--respawn", 1)
    pids = run.wait_for_workers(3)
    time.sleep(0.1)
    os.kill(pids[0], signal.SIGKILL)  # it waits for worker 1 most of the time
    code, summary, stderr = run.end()
    assert code == 0, stderr
    assert run.pids()[0] != pids[0]
    assert summary["samples"] == 30 * SAMPLES
    assert 30 * BATCHES // 3 <= summary["updates"] <= 30 * BATCHES
    assert summary["faults"] == 1


def test_an_interrupt_ends_the_waiting_and_the_rest_is_resumed(start):
    run = start(*flags("k-sync", 2000), "--straggler", "1:20")
    pids = run.wait_for_workers(3)
    time.sleep(0.3)
    run.signal(signal.SIGINT)
    code, summary, stderr = run.end()
    assert code == 130, stderr
    assert (run.path / "ckpt" / "last" / "manifest.json").exists()
    assert gone(list(pids.values()))
    epochs = summary["samples"] // SAMPLES + 3
    code, resumed, stderr = start("--resume", run.path, "--epochs", epochs, "--straggler", "1:1").end()
    assert code == 0, stderr
    assert resumed["samples"] == epochs * SAMPLES
    assert epochs * BATCHES / 3 <= resumed["updates"] <= epochs * BATCHES / 3 + 2


def test_gathered_gradients_that_are_not_applied_are_in_the_state():
    algorithm = REGISTRY["k-batch-async"](k=3)
    module = torch.nn.Linear(5, 1, bias=False).double()
    worlds = [World.create(module, algorithm.keeps(), 3, dtype=torch.float64) for _ in range(2)]
    generator = torch.Generator().manual_seed(1)
    gradients = [torch.randn(1, 5, generator=generator, dtype=torch.float64) for _ in range(3)]

    def bring(world: World, *numbers: int) -> None:
        for number in numbers:
            view = WorkerView(world, number, algorithm.keeps())
            view.lr = 0.1
            view.pull()
            view.gather([gradients[number]], 3)

    whole, half = worlds
    bring(whole, 0, 1, 2)
    bring(half, 0, 1)
    state = State.from_plain(State.of(half, module, algorithm).plain())
    assert (state.version, state.gathered) == (0, 2)
    resumed = World.create(module, algorithm.keeps(), 1, dtype=torch.float64)
    state.write_to(resumed)
    view = WorkerView(resumed, 0, algorithm.keeps())
    view.lr = 0.1
    view.pull()
    view.gather([gradients[2]], 3)
    assert resumed.control.version == 1
    assert torch.equal(resumed.arena.tensor("x"), whole.arena.tensor("x"))
    assert not torch.equal(resumed.arena.tensor("x"), half.arena.tensor("x"))
