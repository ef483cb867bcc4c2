"""Algorithms with replicas in the drivers: the virtual time of messages, the evaluated model, the resumed state."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from slow import rest_is_slow
from test_simulator import simulate

from hogwild import train
from hogwild.errors import UsageError

TICKETS = 64
NAMES = ("easgd", "eamsgd", "easgd-sync", "easgd-tree", "downpour", "local-sgd", "diloco", "ad-psgd", "d2", "sgp")


@pytest.mark.parametrize("algorithm", rest_is_slow(NAMES, {"easgd-tree", "diloco", "ad-psgd", "sgp"}))
def test_two_runs_write_the_same_bytes(tmp_path: Path, algorithm: str):
    runs = [simulate(tmp_path, name, algorithm=algorithm, latency=0.01, bandwidth=1e5)[1] for name in ("a", "b")]
    for file in ("metrics.jsonl", "pushes.csv"):
        assert (runs[0].path / file).read_bytes() == (runs[1].path / file).read_bytes()


def test_a_round_of_all_reduce_takes_its_bytes(tmp_path: Path):
    """Each worker reads the others' parts of its share, and the other shares: 2 (N - 1) / N of the model a round."""
    summary, _, simulator = simulate(
        tmp_path, algorithm="ssgd", clock="round-robin", updates=20, latency=0.25, bandwidth=1e4
    )
    n, workers = simulator.world.layout.n * 4, 4
    part = (workers - 1) / workers * n
    assert summary["moved_bytes"] == pytest.approx(workers * (20 * 2 * part + part), rel=0.01)  # plus the first read
    assert summary["virtual_s"] == pytest.approx(20 * (1 + 2 * 0.25 + 2 * part / 1e4), rel=0.02)


def test_a_longer_period_saves_time(tmp_path: Path):
    taken = [
        simulate(tmp_path, f"p{period}", algorithm="easgd", period=period, clock="round-robin",
                 updates=TICKETS, bandwidth=1e4)[0]["virtual_s"]
        for period in (1, 4, 16)
    ]  # fmt: skip
    compute = TICKETS / 4
    assert taken[0] > taken[1] > taken[2] > compute
    assert taken[0] - compute == pytest.approx(4 * (taken[1] - compute), rel=0.1)


def test_without_bandwidth_and_latency_messages_are_free(tmp_path: Path):
    summary, _, _ = simulate(tmp_path, algorithm="easgd", clock="round-robin", updates=TICKETS)
    assert summary["virtual_s"] == TICKETS / 4
    assert summary["messages"] > 0


def test_the_result_is_what_evaluate_says(tmp_path: Path):
    accuracies = {}
    for evaluate in ("center", "mean", "average"):
        summary, _, simulator = simulate(tmp_path, evaluate, algorithm="easgd", evaluate=evaluate, average_rate=0.5)
        arena, layout = simulator.world.arena, simulator.world.layout
        expected = {
            "center": lambda arena=arena: arena.tensor("x"),
            "mean": lambda arena=arena: sum(arena.tensor("replica", rank) for rank in range(4)) / 4,
            "average": lambda arena=arena: arena.tensor("average"),
        }[evaluate]()
        for parameter, view in zip(simulator.module.parameters(), layout.views(expected), strict=True):
            torch.testing.assert_close(parameter.detach(), view, rtol=1e-5, atol=1e-6)
        accuracies[evaluate] = summary["test_loss"]
    assert len(set(accuracies.values())) == 3


def test_drawn_delays_are_for_gradients_at_the_master(tmp_path: Path):
    with pytest.raises(UsageError, match="draws delays is for snapshots of one master"):
        simulate(tmp_path, algorithm="easgd", clock="uniform:1:8")


def trained(folder: Path, *flags: object) -> dict[str, Any]:
    """The summary of a run that was started from this process, in `folder`."""
    assert train.main([str(flag) for flag in (*flags, "--quiet")]) == 0
    return json.loads((folder / "summary.json").read_text())


@pytest.mark.parametrize("algorithm", ["eamsgd", pytest.param("ad-psgd", marks=pytest.mark.slow)])
def test_one_worker_resumes_bit_for_bit(tmp_path: Path, algorithm: str):
    flags = ("--data", "digits", "--algorithm", algorithm, "--workers", 1, "--seed", 3, "--out", tmp_path)
    whole = trained(tmp_path / "whole", *flags, "--epochs", 4, "--name", "whole")
    trained(tmp_path / "half", *flags, "--epochs", 2, "--name", "half")
    resumed = trained(tmp_path / "half", "--resume", tmp_path / "half", "--epochs", 4)
    assert resumed["test_loss"] == whole["test_loss"]


@pytest.mark.parametrize("algorithm", ["easgd", "d2", "ad-psgd"])
def test_real_workers_learn(tmp_path: Path, algorithm: str):
    flags = ("--data", "digits", "--algorithm", algorithm, "--workers", 3, "--epochs", 10, "--lr", 0.1)
    summary = trained(tmp_path / "run", *flags, "--out", tmp_path, "--name", "run")
    assert summary["samples"] == 10 * 1437
    assert summary["test_accuracy"] > 0.85
