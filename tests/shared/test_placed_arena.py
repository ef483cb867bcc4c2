"""A master over several GPUs, or on the host, and each worker's own buffers, on a driver without a GPU."""

from __future__ import annotations

import copy
import itertools
import multiprocessing
from types import SimpleNamespace

import fake_gpus
import pytest
import torch
from fake_gpus import BUFFERS, GRAIN, add, build
from torch import nn

from hogwild.buffers import SHARED, SNAPSHOT, WORKER, Scope
from hogwild.drivers.checkpoints.state import State
from hogwild.errors import UsageError
from hogwild.shared import runtime
from hogwild.shared.layout import BufferSpec
from hogwild.shared.memory import SharedMemory
from hogwild.shared.own_buffers import OwnBuffers
from hogwild.shared.placed_arena import PlacedArena
from hogwild.shared.placement import PlacedLayout, Placement
from hogwild.shared.world import World

ANSWER_S = 60.0
N = 50_003  # 200 KB: a bit more than three grains
SPECS = [
    BufferSpec("x", Scope.SHARED, N, torch.float32),
    BufferSpec("mean", Scope.SHARED, 7, torch.float32),
    BufferSpec("v", Scope.WORKER, N, torch.float32),
    BufferSpec("box", Scope.REPLICA, 5, torch.float64),
]


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> str:
    return build(tmp_path_factory.mktemp("driver"))


@pytest.fixture
def _fake(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_gpus.take_over(monkeypatch)


def flat() -> nn.Module:
    module = nn.Linear(N, 1, bias=False)
    nn.init.zeros_(module.weight)
    return module


@pytest.mark.parametrize("shards", [(0, 1), (0, 0, 0), (1,), ()])
def test_where_buffers_lie(shards: tuple[int, ...]) -> None:
    placement = Placement((0, 1), shards)
    layout = PlacedLayout.of(SPECS, 3, placement, GRAIN)
    assert all(nbytes > 0 and nbytes % GRAIN == 0 for _, nbytes in layout.parts)
    assert sum(nbytes for _, nbytes in layout.parts) == layout.nbytes
    ends = []
    for name, rank in layout.offsets:
        start, holder, at = layout.offsets[name, rank], None, 0
        assert start % 128 == 0
        for gpu, nbytes in layout.parts:
            if at <= start < at + nbytes:
                holder = gpu
            at += nbytes
        assert holder == layout.gpus[name, rank]
        if name in ("v", "box"):
            assert holder == (0, 1, 0)[rank]
        spec = next(spec for spec in SPECS if spec.name == name)
        ends.append((start, start + spec.numel * torch.empty((), dtype=spec.dtype).element_size()))
    ends.sort()
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(ends))
    names = {name for name, _ in layout.offsets}
    assert names == ({"x", "mean", "v", "box"} if shards else {"v"})  # buffers that others read stay on the host
    if len(shards) > 1:
        assert layout.offsets["x", 0] % GRAIN == 0
        own = [gpu for gpu, _ in layout.parts[: len(shards)]]
        assert own == list(shards)
        sizes = [nbytes for _, nbytes in layout.parts[: len(shards)]]
        assert max(sizes) - min(sizes) <= GRAIN


def test_a_small_model_is_not_split() -> None:
    layout = PlacedLayout.of([BufferSpec("x", Scope.SHARED, 9, torch.float32)], 1, Placement((0, 1), (0, 1)), GRAIN)
    assert layout.parts == [(0, GRAIN)]


@pytest.mark.usefixtures("_fake")
@pytest.mark.parametrize("shards", [(0, 1), (1,), ()])
def test_buffers_are_zero_apart_and_seen_from_the_gpu_of_the_worker(shards: tuple[int, ...], driver: str) -> None:
    arena = PlacedArena.place(SPECS, 2, Placement((0, 1), shards, driver))
    assert arena.device == torch.device("cuda:0")
    names = [("x", None), ("mean", None), *((name, rank) for name in ("v", "box") for rank in range(2))]
    for name, rank in names:
        assert not arena.tensor(name, rank).any(), name
    for value, (name, rank) in enumerate(names, 1):
        arena.tensor(name, rank).fill_(value)
    again = copy.copy(arena)  # as in another process
    assert again.enter(1) == torch.device("cuda:1")
    assert fake_gpus.in_use == [0, 1]
    fake_gpus.seen.clear()
    for value, (name, rank) in enumerate(names, 1):
        assert (again.tensor(name, rank) == value).all(), name
    assert {gpu for gpu, _, _ in fake_gpus.seen} == {1}
    with pytest.raises(IndexError, match="kept per worker"):
        again.tensor("v")
    master = {(0, 1): "sharded over cuda:0, cuda:1", (1,): "cuda:1", (): "host"}[shards]
    assert again.facts == {"device": "cuda:0, cuda:1", "master": master}


@pytest.mark.usefixtures("_fake")
def test_without_peer_access_each_gpu_keeps_to_its_own(driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_APART", "0-1 1-0")
    arena = PlacedArena.place(SPECS, 2, Placement((0, 1), (), driver))
    fake_gpus.seen.clear()
    for rank in range(2):
        arena.tensor("v", rank).fill_(rank + 1)
        arena.tensor("box", rank).fill_(rank + 1)
    assert [gpu for gpu, _, _ in fake_gpus.seen] == [
        0,
        0,
        1,
        0,
    ]  # the parent reads v from its own GPU, and host memory from GPU 0
    worker = copy.copy(arena)
    worker.enter(1)
    assert (worker.tensor("v", 1) == 2).all()
    assert (worker.tensor("box", 0) == 1).all()
    with pytest.raises(IndexError, match=r"'v' of worker 0 lies on GPU 0, which GPU 1 does not reach"):
        worker.tensor("v", 0)


@pytest.mark.slow
@pytest.mark.usefixtures("_fake")
@pytest.mark.parametrize(
    "shards", [(0, 1, 2), pytest.param((0, 0), marks=pytest.mark.slow), pytest.param((), marks=pytest.mark.slow)]
)
def test_atomic_pushes_of_several_processes_lose_nothing_and_a_killed_one_takes_nothing(
    shards: tuple[int, ...], driver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_GPUS", "3")
    gpus = tuple(sorted(set(shards))) or (0, 1)
    world, times = World.create(flat(), BUFFERS, 2, device=Placement(gpus, shards, driver)), 20
    x = world.arena.tensor("x")[:N]
    context = multiprocessing.get_context("spawn")
    members = []
    try:
        for rank in range(2):
            ours, theirs = context.Pipe()
            process = context.Process(target=add, args=(world, rank, times, theirs), daemon=True)
            process.start()
            theirs.close()
            members.append((process, ours))
        for rank, (_, line) in enumerate(members):
            assert line.poll(ANSWER_S)
            gpu = gpus[rank % len(gpus)]
            assert line.recv() == (f"cuda:{gpu}", [gpu], {gpu})
        assert (x == 2 * times).all()
        assert world.control.version == 2 * times
        process, line = members[0]
        line.send("go on")
        assert line.poll(ANSWER_S)
        process.kill()
        process.join()
        assert (x >= 2 * times).all()
        assert torch.equal(x, x.round())
    finally:
        for process, line in members:
            process.kill()
            process.join()
            line.close()


@pytest.mark.usefixtures("_fake")
@pytest.mark.parametrize("shards", [(0, 1), ()])
def test_a_state_goes_to_another_placement_and_back(shards: tuple[int, ...], driver: str) -> None:
    torch.manual_seed(1)
    scopes = {"x": SHARED, "v": WORKER, "snapshot": SNAPSHOT}
    algorithm = SimpleNamespace(keeps=lambda: scopes, result=lambda: "x")
    module = nn.Sequential(nn.Linear(33, 5), nn.BatchNorm1d(5))
    there = World.create(module, scopes, 2, device=Placement((0, 1), shards, driver))
    values = {(name, rank): torch.randn(there.layout.n) for name, rank in (("x", 0), ("v", 0), ("v", 1))}
    for place, value in values.items():
        there.arena.tensor(*place).copy_(value)
    there.arena.tensor("buffer:1.running_mean", 1).fill_(3.0)
    here = World.create(module, scopes, 2)
    State.of(there, module, algorithm).write_to(here)
    back = World.create(module, scopes, 2, device=Placement((1, 0), shards, driver))
    State.of(here, module, algorithm).write_to(back)
    for world in (here, back):
        for name, rank in (("v", 0), ("v", 1)):
            assert torch.equal(world.arena.tensor(name, rank), values[name, rank])
        for got, want in zip(
            world.layout.views(world.arena.tensor("x")), world.layout.views(values["x", 0]), strict=True
        ):
            assert torch.equal(got, want)
        assert OwnBuffers(world, module).published(1)["1.running_mean"].tolist() == [3.0] * 5
        assert not OwnBuffers(world, module).published(0)["1.running_mean"].any()


@pytest.mark.usefixtures("_fake")
def test_too_much_is_refused_with_the_numbers_of_the_gpu(driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "room", lambda gpu: ((80 << 20) if gpu == 0 else (2 << 20), 80 << 20))
    specs = [
        BufferSpec("x", Scope.SHARED, 4 << 20, torch.float32),
        BufferSpec("v", Scope.WORKER, 2 << 20, torch.float32),
    ]
    with pytest.raises(
        UsageError, match=r"needs 16 MiB on GPU 1 \(x 16 \+ v 16 for 2 workers, over all GPUs\), 2 of 80"
    ):
        PlacedArena.place(specs, 2, Placement((0, 1), (0, 1), driver))


@pytest.mark.usefixtures("_fake")
def test_a_gpu_that_cannot_place_memory(driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_PLAIN", "1")
    with pytest.raises(UsageError, match="--master sharded over cuda:0, cuda:1: GPU 1 cannot place memory"):
        PlacedArena.place(SPECS, 2, Placement((0, 1), (0, 1), driver))


def test_host_memory_is_pinned_as_long_as_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[object, ...]] = []
    answers = [0, 712]

    def register(*arguments: object) -> int:
        calls.append(arguments)
        return answers.pop(0)

    cudart = SimpleNamespace(cudaHostRegister=register, cudaHostUnregister=lambda address: calls.append((address,)))
    monkeypatch.setattr(torch.cuda, "cudart", lambda: cudart)
    memory = SharedMemory(4096, "x")
    pinned = runtime.Pinned(memory)
    with pytest.raises(UsageError, match=r"cannot pin 0 MiB .*CUDA error 712.*memory limit of the container") as error:
        runtime.Pinned(memory)
    assert "\n" not in str(error.value)
    del error
    del pinned
    assert calls == [(memory.address, 4096, 3), (memory.address, 4096, 3), (memory.address,)]
