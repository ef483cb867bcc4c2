"""Updates of several gradients in the simulator: equalities between algorithms, the runtimes of Dutta et al. 2018, and
metrics that add up.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from slow import slow

from hogwild.config import Config
from hogwild.drivers.job.job import make_job
from hogwild.drivers.simulated.simulator import Simulator
from hogwild.errors import UsageError
from hogwild.runs.console import Console
from hogwild.runs.directory import RunDirectory
from hogwild.tasks import load
from hogwild.tasks.data import Data


def net(_data: Data) -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 16), torch.nn.Dropout(0.1), torch.nn.Tanh(),
                               torch.nn.Linear(16, 10))  # fmt: skip


def linear(_data: Data) -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))


class Simulated:
    """A simulated run: its summary, its pushes, its parameters, its control block."""

    def __init__(self, tmp_path: Path, algorithm: str, model: Any = net, **values: Any) -> None:
        values = {"clock": "gamma:cv=0.5", "workers": 6, "dtype": "float64", "eval_every": 0, **values}
        config = Config.from_values({"algorithm": algorithm, "out": str(tmp_path), "quiet": True, **values})
        run = RunDirectory.create(config)
        try:
            with Console(quiet=True, log=run.log) as console:
                simulator = Simulator(make_job(config, load(config.data), model), run, console)
                self.summary = simulator.run()
        finally:
            run.close()
        self.control = simulator.world.control
        self.x = simulator.world.arena.tensor("x").clone()
        header, *lines = (run.path / "pushes.csv").read_text().splitlines()
        self.pushes = [dict(zip(header.split(","), line.split(","), strict=True)) for line in lines]


MOMENTUM = {"momentum": 0.9, "dampening": 0.5, "weight_decay": 1e-3}


@pytest.mark.parametrize("name", ["k-sync", "k-async"])
def test_all_workers_in_step_are_synchronous_sgd(tmp_path: Path, name: str):
    found, expected = (
        Simulated(tmp_path / kind, kind, updates=40, momentum=0.9, weight_decay=1e-3) for kind in (name, "ssgd")
    )
    torch.testing.assert_close(found.x, expected.x, rtol=1e-12, atol=1e-12)
    assert found.summary["updates"] == expected.summary["updates"] == 40
    assert found.summary["delay"]["max"] == found.summary["dropped"] == 0
    assert found.summary["virtual_s"] == pytest.approx(expected.summary["virtual_s"], rel=1e-12)


@pytest.mark.parametrize(("name", "options"), [("k-batch-async", {"k": 1}), ("softsync", {"softsync_n": 6})])
def test_one_gradient_per_update_is_asynchronous_sgd(tmp_path: Path, name: str, options: dict[str, Any]):
    found = Simulated(tmp_path / "found", name, epochs=3, **options, **MOMENTUM)
    expected = Simulated(tmp_path / "asgd", "asgd", epochs=3, **MOMENTUM)
    assert torch.equal(found.x, expected.x)
    assert found.pushes == expected.pushes, "delays, gaps, steps and times of every push"


def test_k_batch_async_is_softsync(tmp_path: Path):
    batches = Simulated(tmp_path / "k", "k-batch-async", epochs=3, k=2, **MOMENTUM)
    softsync = Simulated(tmp_path / "n", "softsync", epochs=3, softsync_n=3, **MOMENTUM)
    assert torch.equal(batches.x, softsync.x)
    assert batches.pushes == softsync.pushes
    assert batches.summary["delay"]["mean"] == pytest.approx(5 / 2, abs=0.2)  # N - 1 gradients, two per version


HARMONIC = [sum(1 / i for i in range(1, n + 1)) for n in range(7)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [*map(slow, [("k-sync", HARMONIC[6] - HARMONIC[2]), ("k-batch-sync", 4 / 6), ("k-batch-async", 4 / 6)])],
)
def test_exponential_runtimes_of_an_update(tmp_path: Path, name: str, expected: float):
    """K = 4 of N = 6 with rate 1: E[T] = H_N - H_{N-K}, and K / N if no worker waits."""
    updates = 1200
    run = Simulated(tmp_path, name, model=linear, clock="random", k=4, updates=updates, batch_size=1, lr=0.01)
    assert run.summary["updates"] == updates
    assert run.summary["virtual_s"] / updates == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize(("name", "cancelled"), [("k-sync", 1), ("k-batch-sync", 3), ("k-async", 0)])
def test_all_metrics_add_up(tmp_path: Path, name: str, cancelled: int):
    """K = 3 of N = 4: every batch is in one update, and every update but the last cancels the pending gradients."""
    run = Simulated(tmp_path, name, workers=4, k=3, updates=50)
    assert sorted(int(push["ticket"]) for push in run.pushes) == list(range(150))
    assert run.control.version == run.summary["updates"] == 50
    assert run.control.gathered == 0
    assert sum(run.summary["delay_histogram"].values()) == 150
    assert run.summary["dropped"] == 49 * cancelled
    assert (run.summary["delay"]["max"] == 0) == (cancelled > 0)


def test_a_cancelled_worker_begins_again_at_the_moment_of_the_update(tmp_path: Path):
    """Worker 0 needs 5, the others 1: each update cancels its gradient, so its only batch comes last."""
    run = Simulated(tmp_path, "k-sync", workers=3, k=2, clock="round-robin", straggler="0:5", updates=20)
    *others, last = run.pushes
    assert [float(push["time"]) for push in others] == [1 + i // 2 for i in range(39)]
    assert (last["worker"], last["ticket"], float(last["time"])) == ("0", "0", 19 + 5)
    assert run.summary["dropped"] == 19


def test_fast_workers_bring_several_batches(tmp_path: Path):
    run = Simulated(tmp_path, "k-batch-sync", workers=3, k=3, clock="round-robin", straggler="0:5", updates=10)
    assert {push["worker"] for push in run.pushes[:-1]} == {"1", "2"}
    assert [float(push["time"]) for push in run.pushes[:6]] == [1, 1, 2, 3, 3, 4]


def test_workers_that_have_delivered_wait_and_the_others_go_on(tmp_path: Path):
    """K = 2 of 3, worker 0 needs 5: the others step together at 1, 2, 3, 4; at 5 it delivers a gradient of delay 4."""
    run = Simulated(tmp_path, "k-async", workers=3, k=2, clock="round-robin", straggler="0:5", updates=20)
    first = next(push for push in run.pushes if push["worker"] == "0")
    assert (float(first["time"]), first["delay"]) == (5, "4")
    assert [push["worker"] for push in run.pushes[:8]] == ["1", "2"] * 4
    assert run.summary["dropped"] == 0


@pytest.mark.parametrize("name", ["k-sync", "k-batch-sync", "k-async", "k-batch-async", "softsync"])
def test_the_end_of_a_run_takes_what_there_is(tmp_path: Path, name: str):
    """11 gradients, 3 per update: the last update takes two, with their own mean."""
    run = Simulated(tmp_path, name, workers=3, samples=11 * 32)
    assert len(run.pushes) == 11
    assert run.control.version == 4
    assert run.control.gathered == 0
    assert [float(push["step_rms"]) > 0 for push in run.pushes] == [i in (2, 5, 8, 10) for i in range(11)]


def test_drawn_delays_count_versions(tmp_path: Path):
    run = Simulated(tmp_path, "softsync", softsync_n=3, clock="const:4", epochs=1)
    delays = [int(push["delay"]) for push in run.pushes]
    assert delays[:10] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert set(delays[8:]) == {4}


@pytest.mark.parametrize("read", ["snapshot", "inplace"])
def test_in_place_reads_cancel_and_wait_too(tmp_path: Path, read: str):
    run = Simulated(tmp_path, "k-sync", workers=4, k=2, updates=30, read=read)
    assert len(run.pushes) == 60
    assert run.summary["delay"]["max"] == 0
    assert all(math.isfinite(float(push["loss"])) for push in run.pushes)


@pytest.mark.parametrize("clock", ["const:4", "trace:{}/schedule.jsonl"])
@pytest.mark.parametrize("name", ["k-sync", "k-batch-sync", "k-async"])
def test_a_clock_without_durations_is_refused(tmp_path: Path, name: str, clock: str):
    (tmp_path / "schedule.jsonl").write_text('{"worker": 0, "ticket": 0}\n')
    with pytest.raises(UsageError, match="asynchronous algorithms"):
        Simulated(tmp_path, name, clock=clock.format(tmp_path))
