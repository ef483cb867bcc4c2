"""A master in shards that are mapped as one range, and a master in pinned host memory. Needs one GPU.

Several shards are on the one GPU, with the same calls and the same mapping in every process as on several GPUs.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from gpu_processes import BUFFERS, add, add_for_ever, map_and_let_go, started
from torch import nn

from hogwild.buffers import SHARED, SNAPSHOT, WORKER
from hogwild.drivers.view.worker_view import WorkerView
from hogwild.kernels import build_info
from hogwild.kernels.placed import gpus, granularity, tensor_at
from hogwild.rules import Access, Gap, HeavyBall
from hogwild.shared.placed_memory import PlacedMemory
from hogwild.shared.placement import Placement
from hogwild.shared.world import World

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    pytest.mark.skipif(not build_info()["cuda"], reason="hogwild._C was built without CUDA"),
]
ANSWER_S = 60.0
N = 3_000_017  # 12 MB: six times the granularity of today's GPUs
SHARDED, HOST = Placement((0,), (0, 0, 0)), Placement((0,), ())
several = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="one GPU")


def world(workers: int, placement: Placement) -> World:
    module = nn.Linear(N, 1, bias=False)
    nn.init.zeros_(module.weight)
    return World.create(module, BUFFERS, workers, device=placement)


def push_together(shared: World, times: int) -> None:
    """Every worker adds ones `times` times; all of them must be in x."""
    members = [started(add, shared, rank, times) for rank in range(shared.workers)]
    try:
        for _, line in members:
            assert line.poll(ANSWER_S)
            assert line.recv() == times
        assert bool((shared.arena.tensor("x")[:N] == shared.workers * times).all())
        assert shared.control.version == shared.workers * times
    finally:
        for process, _ in members:
            process.kill()
            process.join()


def test_shards_lie_on_a_boundary_inside_the_master() -> None:
    shared = world(1, SHARDED)
    parts = shared.arena._placed_layout.parts[:3]
    assert [gpu for gpu, _ in parts] == [0, 0, 0]
    assert all(0 < nbytes < 4 * N for _, nbytes in parts)


@pytest.mark.parametrize("workers", [2, 4])
def test_atomic_pushes_to_shards_lose_nothing(workers: int) -> None:
    push_together(world(workers, SHARDED), 200)


def test_pushes_to_a_master_on_the_host_arrive() -> None:
    has_atomics = gpus()[0].host_atomics
    push_together(world(2 if has_atomics else 1, HOST), 50)


@several
def test_pushes_to_shards_on_two_gpus_arrive() -> None:
    facts = gpus()
    if not (facts[0].reaches[1] and facts[1].reaches[0]):
        pytest.skip("no peer access")
    has_atomics = facts[0].atomics[1] and facts[1].atomics[0]
    push_together(world(4 if has_atomics else 1, Placement((0, 1), (0, 1))), 200)


@pytest.mark.parametrize("placement", [SHARDED, HOST], ids=["shards", "host"])
def test_torch_works_on_the_master_as_on_its_own_memory(placement: Placement) -> None:
    """Copies both ways, kernels, reductions and views, across the boundaries of the parts."""
    shared = world(2, placement)
    values, x = torch.randn(shared.layout.n), shared.arena.tensor("x")
    assert x.device == torch.device("cuda:0")
    x.copy_(values)
    assert torch.equal(x.cpu(), values)
    assert torch.equal(x.clone().cpu(), values)
    other = torch.empty_like(x).copy_(x)
    assert torch.equal(other.mul_(2).cpu(), values * 2)
    x.copy_(other)
    x.add_(1.0)
    assert torch.equal(x.cpu(), values * 2 + 1)
    assert float(x.double().sum()) == pytest.approx(float((values * 2 + 1).double().sum()), rel=1e-9)
    for rank in range(2):
        assert not bool(shared.arena.tensor("snapshot", rank)[:N].any())


@pytest.mark.parametrize("placement", [SHARDED, HOST], ids=["shards", "host"])
@pytest.mark.parametrize("access", [Access.RACING, Access.LOCKED])
def test_a_single_worker_gives_the_model_of_the_cpu(placement: Placement, access: Access) -> None:
    scopes = {"x": SHARED, "s": SHARED, "v": WORKER, "snapshot": SNAPSHOT}
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(1200, 1300), nn.Linear(1300, 5))
    views = []
    for place in (placement, "cpu"):
        view = WorkerView(World.create(module, scopes, 1, device=place), 0, scopes, access=access)
        view.lr = 0.1
        view.pull()
        views.append(view)
    for _ in range(5):
        gradients = [torch.randn(p.shape) for p in module.parameters()]
        for view in views:
            view.push([g.to(view.x.device) for g in gradients], momentum=HeavyBall(0.9), penalty=Gap())
    for name in scopes:
        got, want = (view.buffer(name) for view in views)
        assert torch.equal(got.cpu(), want), name


def test_a_killed_worker_takes_nothing_with_it() -> None:
    shared = world(1, SHARDED)
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


def test_mapping_a_thousand_times_leaks_nothing() -> None:
    grain = granularity("libcuda.so.1", [0])
    parts = [(0, grain), (0, 2 * grain)]
    memory = PlacedMemory(parts, "a test")
    memory.allow(0)
    tensor_at(memory.address, 3 * grain, torch.device("cuda:0"), memory).fill_(7)
    torch.cuda.synchronize()
    process, line = started(map_and_let_go, memory, 1000)
    try:
        assert line.poll(ANSWER_S)
        last, (before, after) = line.recv()
        assert last == 7
        assert before - after < 16 << 20
        process.join(ANSWER_S)
        assert process.exitcode == 0
    finally:
        process.kill()
        process.join()


def test_memory_is_given_back() -> None:
    torch.cuda.synchronize()
    free, _ = torch.cuda.mem_get_info()
    shared = world(1, Placement((0,), (0,) * 4))
    assert torch.cuda.mem_get_info()[0] <= free - 4 * N
    del shared
    assert torch.cuda.mem_get_info()[0] > free - 4 * N


@pytest.mark.parametrize("flags", ["--master host", pytest.param("--gpus 0 --master sharded", marks=several)])
def test_a_master_elsewhere_learns_as_well(flags: str, tmp_path: Path) -> None:
    accuracy = {}
    for place in ("--master cuda:0", flags):
        command = [sys.executable, "-m", "hogwild.train", "--data", "digits", "--device", "cuda", "--epochs", "10"]
        command += ["--workers", "2", "--out", str(tmp_path), "--json", "--quiet", *place.split()]
        run = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
        assert run.returncode == 0, run.stderr[-2000:]
        summary = json.loads(run.stdout)
        accuracy[place] = summary["test_accuracy"]
    assert summary["master"] in ("host", "sharded over cuda:0, cuda:1")
    assert accuracy[flags] > 0.9
    assert accuracy[flags] > accuracy["--master cuda:0"] - 0.03
