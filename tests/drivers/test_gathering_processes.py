"""Updates of several gradients on real processes: after any death no worker waits forever, and no sample is lost."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from command_runs import BATCHES, ENDLESS, SAMPLES, Run, gone
from slow import rest_is_slow

from hogwild.algorithms import REGISTRY
from hogwild.config import Config
from hogwild.drivers.checkpoints.state import State
from hogwild.drivers.processes.trainer import Trainer
from hogwild.drivers.view.worker_view import WorkerView
from hogwild.runs.console import Console
from hogwild.runs.directory import RunDirectory
from hogwild.shared.world import World

GATHERING = ["k-sync", "k-batch-sync", "k-async", "k-batch-async", "softsync"]


def begin(start: Any, algorithm: str, *flags: object) -> Run:
    """An endless run that takes three gradients to an update, in which two workers wait for worker 1: it is stopped."""
    run: Run = start("--algorithm", algorithm, "--access", "locked", "--workers", 3, "--straggler", "1:20",
                     "--stall-timeout", 1, "--record", *flags, *ENDLESS)  # fmt: skip
    run.wait_for_workers(3)
    run.wait_for_pushes(6)
    run.stop_in_gradient(1)
    return run


@pytest.mark.parametrize("algorithm", rest_is_slow(GATHERING, {"softsync", "k-async"}))
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


@pytest.mark.slow
def test_the_others_go_on_without_a_killed_worker(start):
    """They wait for it when it is killed; from then on two of two make an update."""
    run = begin(start, "k-sync")
    os.kill(run.pids()[1], signal.SIGKILL)
    run.wait_for_death()
    run.wait_for_pushes(30)
    epochs, summary, stderr = run.finish()
    assert "2 of 3 continue, its work is assigned again" in stderr
    assert summary["samples"] == epochs * SAMPLES
    assert summary["updates"] >= epochs * BATCHES // 3 + 30 // 6, "30 gradients make 15 updates of two and not 10"
    assert summary["test_accuracy"] > 0.9


@pytest.mark.slow
def test_a_killed_worker_that_waits_has_delivered_and_its_successor_goes_on(start):
    run = begin(start, "k-async", "--respawn", 1)
    pids = run.pids()
    os.kill(pids[0], signal.SIGKILL)
    assert run.wait_for_death()["worker"] == 0
    os.kill(pids[1], signal.SIGCONT)
    run.wait_for(lambda: run.pids()[0] != pids[0], "worker 0 is replaced")
    run.wait_for_pushes(5, 0)
    epochs, summary, _ = run.finish()
    assert summary["samples"] == epochs * SAMPLES
    assert sum(summary["delay_histogram"].values()) == epochs * BATCHES, "its gradient is not computed once more"
    assert epochs * BATCHES // 3 <= summary["updates"] <= epochs * BATCHES


@pytest.mark.slow
def test_an_interrupt_ends_the_waiting_and_the_rest_is_resumed(start):
    run = begin(start, "k-sync")
    pids = run.pids()
    run.signal(signal.SIGINT)
    assert gone(list(pids.values())), "the others wait for worker 1, which is stopped, and is killed at the end"
    code, summary, stderr = run.end()
    assert code == 130, stderr
    assert (run.path / "ckpt" / "last" / "manifest.json").exists()
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
