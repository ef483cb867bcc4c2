"""The simulator: delays are those of the clock, runs repeat bit for bit, and virtual time is correct."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from slow import rest_is_slow

from hogwild.cli import main as cli
from hogwild.config import Config
from hogwild.delays import parse
from hogwild.drivers.job.job import make_job
from hogwild.drivers.simulated.simulator import Simulator
from hogwild.errors import UsageError
from hogwild.runs import timeline
from hogwild.runs.console import Console
from hogwild.runs.directory import RunDirectory
from hogwild.tasks import load
from hogwild.tasks.data import Data


def net(_data: Data) -> torch.nn.Module:
    return torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(64, 16), torch.nn.BatchNorm1d(16), torch.nn.ReLU(), torch.nn.Dropout(0.1),
        torch.nn.Linear(16, 10),
    )  # fmt: skip


def simulate(tmp_path: Path, name: str = "run", **values: Any) -> tuple[dict[str, Any], RunDirectory, Simulator]:
    limit = {} if "updates" in values else {"epochs": 2}
    values = {"out": str(tmp_path), "name": name, "quiet": True, "clock": "gamma", "workers": 4, **limit, **values}
    config = Config.from_values(values)
    run = RunDirectory.create(config)
    try:
        with Console(quiet=True, log=run.log) as console:
            simulator = Simulator(make_job(config, load(config.data), net), run, console)
            return simulator.run(), run, simulator
    finally:
        run.close()


def pushes(run: RunDirectory) -> list[dict[str, str]]:
    header, *lines = (run.path / "pushes.csv").read_text().splitlines()
    return [dict(zip(header.split(","), line.split(","), strict=True)) for line in lines]


@pytest.mark.parametrize("algorithm", ["asgd", "gap-aware", "ssgd", "dana-slim"])
@pytest.mark.parametrize("clock", rest_is_slow(["gamma", "gamma:cv=0.1,het=0.6", "random"], {"gamma:cv=0.1,het=0.6"}))
def test_two_runs_write_the_same_bytes(tmp_path: Path, algorithm: str, clock: str):
    runs = [simulate(tmp_path, name, algorithm=algorithm, clock=clock)[1] for name in ("a", "b")]
    for file in ("metrics.jsonl", "pushes.csv", "timeline.bin"):
        assert (runs[0].path / file).read_bytes() == (runs[1].path / file).read_bytes()


def test_the_command_writes_the_same_bytes_twice(tmp_path: Path):
    command = "simulate --data digits --model logistic --algorithm gap-aware --workers 8 --clock gamma:cv=0.1,het=0.6"
    command += " --epochs 2 --dtype float64 --access locked --seed 7 --quiet"
    for name in ("a", "b"):
        assert cli.main([*command.split(), "--out", str(tmp_path), "--name", name]) == 0
    for file in ("metrics.jsonl", "pushes.csv"):
        content = (tmp_path / "a" / file).read_bytes()
        assert content == (tmp_path / "b" / file).read_bytes()
        assert len(content) > 1000


def test_phases_and_their_timeline_are_of_the_virtual_clock(tmp_path: Path):
    """Three workers in rounds, one of them four times slower: the others wait for it three quarters of the time."""
    _, run, _ = simulate(tmp_path, algorithm="ssgd", workers=3, clock="round-robin", straggler={1: 4.0}, updates=20)
    events = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    ended = {event["worker"]: event for event in events if event.get("event") == "ended" and "worker" in event}
    for track in timeline.read(run.path / "timeline.bin"):
        spent = track.seconds()
        for name, seconds in spent.items():
            assert seconds == pytest.approx(ended[track.worker][f"{name}_s"])
        assert spent["gradient"] == pytest.approx(80.0 if track.worker == 1 else 20.0)
        assert spent.get("waiting", 0.0) == pytest.approx(0.0 if track.worker == 1 else 60.0)
    for row in pushes(run):
        assert float(row["time"]) - float(row["pulled"]) == pytest.approx(4.0 if row["worker"] == "1" else 1.0)


def test_intervals_add_up_to_the_run(tmp_path: Path):
    summary, run, _ = simulate(tmp_path, workers=3, clock="gamma", latency=0.25)
    events = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    assert [event["event"] for event in events if event["kind"] == "run"] == ["started", "ended"]
    assert events[0] == {"kind": "run", "time": 0.0, "event": "started", "schema": 2, "clock": "virtual"}
    assert events[-1]["exit_reason"] == "done"
    parts = [event["interval"] for event in events if event["kind"] == "train"]
    assert len(parts) > 20
    assert sum(part["pushes"] for part in parts) == summary["updates"]
    for name, total in (("delay", summary["delay_histogram"]), ("gap", summary["gap_histogram"])):
        assert sum((Counter(part[name]) for part in parts), Counter()) == {str(k): n for k, n in total.items()}
    update = sum(part["phase_s"].get("1", {}).get("update", 0.0) for part in parts)
    rows = [row for row in pushes(run) if row["worker"] == "1"]
    assert update == pytest.approx(0.25 * len(rows)), "an update is the latency of its message"


@pytest.mark.parametrize("algorithm", ["asgd", "shifted", "nag-asgd", "gap-aware", "staleness-aware"])
def test_no_gap_is_longer_than_the_path_that_led_there(tmp_path: Path, algorithm: str):
    """||x - snapshot|| <= sum of ||step|| over the pushes since the snapshot was read; equal for one step."""
    _, run, _ = simulate(tmp_path, algorithm=algorithm, clock="gamma:cv=0.5", workers=6, dtype="float64")
    rows = pushes(run)
    steps = [float(row["step_rms"]) for row in rows]
    for k, row in enumerate(rows):
        path, gap = sum(steps[k - int(row["delay"]) : k]), float(row["gap_rms"])
        assert gap <= path * (1 + 1e-7)
        if row["delay"] == "1":
            assert gap == pytest.approx(path, rel=1e-7)
    assert max(float(row["gap_rms"]) for row in rows) > 0


def test_the_penalty_of_each_push(tmp_path: Path):
    """G >= 1, and above 1 if there is a gap; no penalty without a gap, or if gradients are only deposited."""
    for algorithm in ("asgd", "staleness-aware", "ssgd"):
        _, run, _ = simulate(tmp_path, algorithm, algorithm=algorithm)
        assert {row["penalty"] for row in pushes(run)} == {"1"}
    for options in ({}, {"gap_level": "layer"}, {"gap_level": "global"}):
        name = options.get("gap_level", "element")
        _, run, _ = simulate(tmp_path, name, algorithm="gap-aware", **options)
        first, *rows = pushes(run)
        assert first["penalty"] == "1"
        for row in rows:
            assert (float(row["penalty"]) > 1) == (int(row["delay"]) > 0)


def test_a_dropped_gradient_has_neither_gap_nor_lr(tmp_path: Path):
    _, run, _ = simulate(tmp_path, algorithm="ringmaster", clock="random", workers=6, delay_limit=5)
    dropped = [row for row in pushes(run) if int(row["delay"]) >= 5]
    assert dropped
    assert {(row["gap_rms"], row["step_rms"], row["penalty"], row["lr"]) for row in dropped} == {("0", "0", "1", "0")}


def test_another_seed_is_another_run(tmp_path: Path):
    runs = [simulate(tmp_path, f"seed{seed}", seed=seed)[1] for seed in (0, 1)]
    assert (runs[0].path / "pushes.csv").read_bytes() != (runs[1].path / "pushes.csv").read_bytes()


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_round_robin_has_the_constant_delay(tmp_path: Path, workers: int):
    _, run, _ = simulate(tmp_path, clock="round-robin", workers=workers)
    delays = [int(push["delay"]) for push in pushes(run)]
    assert delays[:workers] == list(range(workers))
    assert set(delays[workers:]) == {workers - 1}
    assert [int(push["worker"]) for push in pushes(run)] == [k % workers for k in range(len(delays))]


def test_the_mean_delay_of_any_asynchronous_cluster_is_one_less_than_its_workers(tmp_path: Path):
    """Sum of delays = sum over workers of (versions between own pushes - 1): N - 1 on average once all have pushed."""
    for clock in ("gamma", "gamma:cv=0.1,het=0.6", "random"):
        summary, run, _ = simulate(tmp_path, clock.replace(":", "_"), clock=clock, workers=8, epochs=10, takeover=False)
        assert summary["delay"]["mean"] == pytest.approx(7, abs=0.1)  # less by 28/450: the first pushes are fresh
        assert len({int(push["worker"]) for push in pushes(run)}) == 8


def test_drawn_delays_are_exactly_the_distribution(tmp_path: Path):
    _, run, _ = simulate(tmp_path, clock="uniform:1:8", workers=3, epochs=20)
    delays = torch.tensor([int(push["delay"]) for push in pushes(run)][8:])
    counts = torch.bincount(delays, minlength=9)
    assert counts[0] == 0
    assert len(counts) == 9
    expected = len(delays) / 8
    assert ((counts[1:] - expected) ** 2 / expected).sum() < 30  # chi-square, 7 degrees of freedom: p < 1e-4


def test_the_delays_of_a_run_can_be_put_into_the_theory(tmp_path: Path):
    summary, run, _ = simulate(tmp_path, clock="random", workers=6, epochs=4)
    run.summary(summary)
    distribution = parse(f"hist:{run.path}")
    assert sum(distribution.values()) == pytest.approx(1.0)
    assert sum(delay * share for delay, share in distribution.items()) == pytest.approx(summary["delay"]["mean"])


def test_one_worker_of_any_clock_is_the_same_run(tmp_path: Path):
    found = [simulate(tmp_path, name, clock=clock, workers=1)[0] for name, clock in (("a", "gamma"), ("b", "random"))]
    assert found[0]["test_loss"] == found[1]["test_loss"]
    assert found[0]["delay"]["max"] == 0


def test_synchronous_workers_pay_for_the_slowest(tmp_path: Path):
    values: dict[str, Any] = {"clock": "round-robin", "straggler": "0:5", "updates": 40}
    synchronous, run, _ = simulate(tmp_path, "sync", algorithm="ssgd", **values)
    assert synchronous["virtual_s"] == pytest.approx(40 * 5)
    assert synchronous["updates"] == 40
    assert {int(push["delay"]) for push in pushes(run)} == {0}
    asynchronous, _, _ = simulate(tmp_path, "async", algorithm="asgd", **{**values, "updates": 160})
    assert asynchronous["virtual_s"] == pytest.approx(160 / (3 + 1 / 5), rel=0.05)


def test_bursts_hold_gradients_up(tmp_path: Path):
    calm, _, _ = simulate(tmp_path, "calm", clock="round-robin")
    held, _, _ = simulate(tmp_path, "held", clock="round-robin:burst=0.2x10")
    assert held["virtual_s"] > 1.5 * calm["virtual_s"]
    assert held["delay"]["max"] > calm["delay"]["max"]


def test_in_place_reads_take_the_value_at_the_request(tmp_path: Path):
    summary, _, _ = simulate(tmp_path, read="inplace", algorithm="asgd", clock="round-robin")
    assert summary["test_accuracy"] > 0.5
    assert summary["delay"]["max"] == 3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"clock": "gama"}, "gama"),
        ({"clock": "gamma:cv"}, "not understood"),
        ({"clock": "gamma:cv=-1"}, "cv is 0, or from 1e-06 to 10"),
        ({"clock": "uniform:1:8", "straggler": "0:2"}, "draws delays"),
        ({"clock": "uniform:1:8", "algorithm": "ssgd"}, "asynchronous algorithms"),
        ({"clock": "trace:/nowhere"}, "cannot read /nowhere: No such file"),
        ({"clock": "gamma", "respawn": 3}, "respawn concerns worker processes"),
    ],
)
def test_configurations_that_cannot_be_simulated_are_refused_in_one_line(
    tmp_path: Path, values: dict[str, Any], message: str
):
    with pytest.raises(UsageError, match=message):
        simulate(tmp_path, **values)
