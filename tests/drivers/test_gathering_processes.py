"""Updates of several gradients on real processes: who waits is never left waiting, whoever dies, and no sample is lost."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
import torch
from conftest import gone

from hogwild.algorithms import REGISTRY
from hogwild.drivers.state import State
from hogwild.drivers.view import WorkerView
from hogwild.shared.world import World

SAMPLES = 1437  # of the digits training split
BATCHES = 45  # an epoch
LAST_ONLY = ("--eval-every", 0, "--ckpt-every", 0)
GATHERING = ["k-sync", "k-batch-sync", "k-async", "k-batch-async", "softsync"]


def flags(algorithm: str, workers: int, epochs: float, k: int = 0) -> list[object]:
    chosen = [] if algorithm == "softsync" or not k else ["--k", k]
    return ["--algorithm", algorithm, "--access", "locked", "--workers", workers, "--epochs", epochs, *chosen]


@pytest.mark.parametrize("algorithm", GATHERING)
def test_three_workers_learn_and_every_gradient_is_in_one_update(start, algorithm: str):
    """With evaluations and checkpoints in between: the gate closes while workers wait for an update."""
    run = start(*flags(algorithm, 3, 20, k=2), "--eval-every", 1, "--ckpt-every", 2)
    code, summary, stderr = run.end()
    assert code == 0, stderr
    assert summary["samples"] == 20 * SAMPLES
    assert summary["updates"] == (300 if algorithm == "softsync" else 450)
    assert sum(summary["delay_histogram"].values()) == 20 * BATCHES
    assert summary["test_accuracy"] > 0.93
    if algorithm.endswith("-sync"):
        assert summary["delay"]["max"] == 0
    else:
        assert summary["dropped"] == 0


@pytest.mark.parametrize("algorithm", ["k-sync", "k-async"])
def test_the_others_go_on_without_a_killed_worker(start, algorithm: str):
    """Three of three make an update. The one that is killed is the slow one, so the others wait for it just then."""
    run = start(*flags(algorithm, 3, 30), *LAST_ONLY, "--straggler", "1:20")
    pids = run.wait_for_workers(3)
    time.sleep(0.1)
    os.kill(pids[1], signal.SIGKILL)
    code, summary, stderr = run.end()
    assert code == 0, stderr
    assert "2 of 3 continue, its work is dealt again" in stderr
    assert summary["samples"] == 30 * SAMPLES
    assert summary["updates"] > 30 * BATCHES // 3, "the two that are left make updates of two"
    assert summary["test_accuracy"] > 0.9


def test_a_killed_worker_that_waits_has_delivered_and_its_successor_goes_on(start):
    run = start(*flags("k-sync", 3, 60), *LAST_ONLY, "--straggler", "1:20", "--respawn", 3)
    for _ in range(3):
        pids = run.wait_for_workers(3)
        time.sleep(0.05)
        os.kill(pids[0], signal.SIGKILL)  # it waits for worker 1 nearly all the time
        while run.pids()[0] == pids[0]:
            assert run.process.poll() is None
            time.sleep(0.01)
    code, summary, stderr = run.end()
    assert code == 0, stderr
    assert summary["samples"] == 60 * SAMPLES
    assert 60 * BATCHES // 3 <= summary["updates"] <= 60 * BATCHES
    assert summary["faults"] == 3


@pytest.mark.parametrize("algorithm", ["k-sync", "k-async"])
def test_an_interrupt_ends_the_waiting_and_the_rest_is_resumed(start, algorithm: str):
    run = start(*flags(algorithm, 3, 2000), *LAST_ONLY, "--straggler", "1:20")
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


def test_what_is_gathered_and_not_applied_is_in_the_state():
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
    state = State.from_plain(State.of(half, module, algorithm.keeps()).plain())
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


def test_the_own_loops_of_a_caller_may_gather(tmp_path: Path):
    """hogwild.launch has no tickets: workers that return leave the update to those that are left."""
    import hogwild

    result = hogwild.launch(
        unequal_steps, small, algorithm="k-sync", workers=2, access="locked", lr=0.1, out=str(tmp_path)
    )
    assert result.summary["updates"] == 12, "six together, six of the one that stays longer"


def small() -> torch.nn.Module:
    return torch.nn.Linear(3, 2)


def unequal_steps(worker) -> None:
    torch.manual_seed(worker.rank)
    for _ in range(6 if worker.rank else 12):
        worker.step((worker.model(torch.randn(4, 3)) ** 2).mean(), samples=4)
