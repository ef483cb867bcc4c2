"""A master on a GPU, with pushes from several processes. Needs a GPU, and CUDA IPC."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from gpu_processes import BUFFERS, add, add_for_ever, attach_and_let_go, started
from torch import nn

from hogwild.buffers import SHARED, SNAPSHOT, WORKER
from hogwild.drivers.view.worker_view import WorkerView
from hogwild.kernels import build_info
from hogwild.rules import Gap, HeavyBall
from hogwild.shared.world import World

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    pytest.mark.skipif(not build_info()["cuda"], reason="hogwild._C was built without CUDA"),
]
ANSWER_S = 60.0
N = 100_003


def world(workers: int) -> World:
    module = nn.Linear(N, 1, bias=False)
    nn.init.zeros_(module.weight)
    return World.create(module, BUFFERS, workers, device="cuda")


def test_atomic_pushes_of_four_processes_lose_nothing() -> None:
    shared, times = world(4), 300
    members = [started(add, shared, rank, times) for rank in range(4)]
    try:
        for _, line in members:
            assert line.poll(ANSWER_S)
            assert line.recv() == times
        assert bool((shared.arena.tensor("x")[:N] == 4 * times).all())
        assert shared.control.version == 4 * times
    finally:
        for process, _ in members:
            process.kill()
            process.join()


def test_a_killed_worker_takes_nothing_with_it() -> None:
    shared = world(1)
    for _ in range(20):
        process, line = started(add_for_ever, shared, 0)
        try:
            assert line.poll(ANSWER_S)
        finally:
            process.kill()
            process.join()
    x = shared.arena.tensor("x")[:N]
    torch.cuda.synchronize()
    assert bool((x >= 20).all())
    assert bool((x == x.round()).all())
    x.zero_()
    torch.cuda.synchronize()
    process, line = started(add, shared, 0, 10)
    try:
        assert line.poll(ANSWER_S)
        assert bool((x == 10).all())
    finally:
        process.kill()
        process.join()


def test_attaching_a_thousand_times_leaks_nothing() -> None:
    memory = torch.full((1 << 22,), 7, dtype=torch.uint8, device="cuda")
    process, line = started(attach_and_let_go)
    try:
        for turn in range(1000):
            line.send(memory)
            assert line.poll(ANSWER_S)
            assert line.recv() == 7
            if turn == 10:
                before, _ = torch.cuda.mem_get_info()
        after, _ = torch.cuda.mem_get_info()
        assert before - after < 16 << 20
        line.send(None)
        process.join(ANSWER_S)
        assert process.exitcode == 0
    finally:
        process.kill()
        process.join()


def test_a_worker_that_does_not_wait_makes_the_model_of_one_that_does() -> None:
    """The models are equal bit for bit, and torch reports no wait for the device."""
    scopes = {"x": SHARED, "s": SHARED, "v": WORKER, "snapshot": SNAPSHOT}
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(65, 33), nn.Linear(33, 5))
    views = []
    for device in ("cuda", "cpu"):
        view = WorkerView(World.create(module, scopes, 1, device=device), 0, scopes)
        view.lr, view.updates.defers = 0.1, device == "cuda"
        view.pull()
        views.append(view)
    gradients = [[torch.randn(p.shape) for p in module.parameters()] for _ in range(5)]
    on_gpu = [[g.cuda() for g in gs] for gs in gradients]
    torch.cuda.set_sync_debug_mode("error")
    try:
        for gs in on_gpu:
            views[0].push(gs, momentum=HeavyBall(0.9), penalty=Gap())
    finally:
        torch.cuda.set_sync_debug_mode("default")
    views[0].finish()
    for gs in gradients:
        views[1].push(gs, momentum=HeavyBall(0.9), penalty=Gap())
    for name in scopes:
        got, want = (view.buffer(name) for view in views)
        assert torch.equal(got.cpu(), want), name
    stats = [view.control.stats(0) for view in views]
    assert stats[0]["pushes"] == stats[1]["pushes"] == 5
    assert stats[0]["gap_sq"] == pytest.approx(stats[1]["gap_sq"], rel=1e-4)


@pytest.mark.parametrize(
    ("workers", "flags"),
    [
        (1, ""),
        (4, ""),
        (2, "--access locked"),
        (2, "--amp bf16 --channels-last"),
        (2, "--cuda-graph --amp bf16"),
    ],
)
def test_the_trainer_learns(workers: int, flags: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hogwild.train", "--data", "digits", "--device", "cuda", "--epochs", "10"]
    command += ["--workers", str(workers), "--out", str(tmp_path), "--json", "--quiet", *flags.split()]
    run = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    summary = json.loads(run.stdout)
    assert summary["test_accuracy"] > 0.9
    assert summary["device"] == "cuda:0"
    assert summary["mps"] in (True, False)


@pytest.mark.parametrize("algorithm", ["ssgd", "easgd", "ad-psgd"])
def test_every_kind_of_algorithm_learns(algorithm: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hogwild.train", "--data", "digits", "--device", "cuda", "--epochs", "10"]
    command += ["--workers", "2", "--algorithm", algorithm, "--out", str(tmp_path), "--json", "--quiet"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    assert json.loads(run.stdout)["test_accuracy"] > 0.8
