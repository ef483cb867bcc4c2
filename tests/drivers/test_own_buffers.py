"""Buffers with a user's own names: their treatment follows from their declarations."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from slow import rest_is_slow
from torch import Tensor, nn

from hogwild.algorithms import REGISTRY, Algorithm
from hogwild.algorithms.base import MODEL, SHARED, SNAPSHOT, Gradient, Steps, View
from hogwild.buffers import WORKER, Buffer, Rows, Scope, has_locks, has_replicas
from hogwild.config import Config
from hogwild.drivers.checkpoints.state import State
from hogwild.drivers.job.batches import BatchOrder
from hogwild.drivers.job.job import make_job
from hogwild.drivers.processes.trainer import Trainer
from hogwild.drivers.simulated.simulator import Simulator
from hogwild.drivers.view.worker_view import WorkerView
from hogwild.errors import UsageError
from hogwild.rules import Topology
from hogwild.runs.console import Console
from hogwild.runs.directory import RunDirectory
from hogwild.shared.world import World
from hogwild.tasks import load
from hogwild.tasks.data import Data

PAIRED = Buffer(Scope.REPLICA, starts="x", locks=True)


@dataclass(frozen=True)
class Anchored(Algorithm):
    """Own steps on `mine`, which is averaged with a peer's and pulled towards a second model that follows it."""

    name: ClassVar[str] = "anchored"
    summary: ClassVar[str] = "a model and its anchor"
    buffers: ClassVar[Mapping[str, Buffer]] = {
        "x": SHARED,
        "mine": PAIRED,
        "anchor": Buffer(Scope.WORKER, starts="x"),
        "scratch": Buffer(Scope.WORKER, starts="x", saved=False),
        "weights": Buffer(Scope.REPLICA, starts="one", size=5, dtype="float64"),
        "table": Buffer(Scope.SHARED, size=Rows(2), dtype="float64"),
    }

    def result(self) -> str:
        return "mine"

    def worker(self, w: View) -> Steps:
        while True:
            g = yield Gradient(at=w.buffer("mine"))
            w.push(g, onto="mine")
            if (peer := w.peer(Topology("complete"))) >= 0:
                w.average_with(peer, "blocking", "mine")
            w.combine("scratch", {"mine": 0.75, "anchor": 0.25})
            w.combine("mine", {"scratch": 1})
            w.combine("anchor", {"anchor": 0.5, "mine": 0.5})


@dataclass(frozen=True)
class Elder(Algorithm):
    """SGD on the master; each worker also keeps a model that follows it."""

    name: ClassVar[str] = "elder"
    summary: ClassVar[str] = "SGD and a slow copy"
    buffers: ClassVar[Mapping[str, Buffer]] = {
        "x": SHARED,
        "snapshot": SNAPSHOT,
        "elder": Buffer(Scope.WORKER, starts="x"),
    }

    def worker(self, w: View) -> Steps:
        w.pull()
        while True:
            g = yield Gradient(at=w.snapshot)
            w.push(g)
            w.combine("elder", {"elder": 0.5, "x": 0.5})


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    for algorithm in (Anchored, Elder):
        monkeypatch.setitem(REGISTRY, algorithm.name, algorithm)


def model(_data: Data | None = None) -> nn.Module:
    torch.manual_seed(4)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 7), nn.Tanh(), nn.Linear(7, 10)).double()


def driver(tmp_path: Path, algorithm: str, **values: Any) -> Trainer | Simulator:
    common = {"out": str(tmp_path), "quiet": True, "dtype": "float64", "epochs": 1, "lr": 0.2}
    config = Config.from_values({**common, "algorithm": algorithm, **values})
    run = RunDirectory.create(config) if config.resume is None else RunDirectory.resume(config)
    kind = Simulator if config.clock else Trainer
    return kind(make_job(config, load("digits"), model), run, Console(quiet=True))


def finish(driver: Trainer | Simulator) -> World:
    try:
        driver.run()
    finally:
        driver.directory.close()
    return driver.world


def parts(world: World, name: str, rank: int = 0) -> list[Tensor]:
    return world.layout.views(world.arena.tensor(name, rank))


def everywhere(world: World, name: str) -> list[Tensor]:
    return [world.arena.tensor(name, rank) for rank in range(world.workers)]


def test_a_world_is_made_of_declarations():
    world = World.create(model(), Anchored.buffers, 3)
    x, n = world.arena.tensor("x"), world.layout.n
    for name in ("mine", "anchor", "scratch"):
        assert all(torch.equal(buffer, x) for buffer in everywhere(world, name)), name
    assert [buffer.tolist() for buffer in everywhere(world, "weights")] == [[1, 0, 0, 0, 0]] * 3
    assert (world.arena.tensor("weights", 2).dtype, x.dtype) == (torch.float64, torch.float32)
    view = WorkerView(world, 1, Anchored.buffers)
    assert (view.buffer("table").shape, view.buffer("table").dtype) == ((4, 2), torch.float64)
    assert view.buffer("mine").shape == (n,)
    assert len({world.locks(), *(world.locks(rank) for rank in range(3))}) == 4
    assert pickle.loads(pickle.dumps(world.buffers)) == Anchored.buffers


@pytest.mark.parametrize("clock", [None, "round-robin"])
def test_both_drivers_do_what_the_text_says(tmp_path: Path, clock: str | None):
    """One worker, against the same equations written out."""
    world = finish(driver(tmp_path, "anchored", workers=1, clock=clock))
    data, module = load("digits"), model()
    anchor = [parameter.detach().clone() for parameter in module.parameters()]
    config = Config.from_values({"algorithm": "anchored"})
    order = BatchOrder(len(data.train), config.batch_size, config.seed)
    for ticket in range(order.tickets_per_epoch):
        inputs, targets = data.train.batch(order.indices(ticket), train=True)
        module.zero_grad()
        data.loss(module(inputs.double()), targets).backward()
        with torch.no_grad():
            for mine, slow in zip(module.parameters(), anchor, strict=True):
                mine.copy_(0.75 * (mine - 0.2 * mine.grad) + 0.25 * slow)
                slow.copy_(0.5 * slow + 0.5 * mine)
    for found, parameter in zip(parts(world, "mine"), module.parameters(), strict=True):
        torch.testing.assert_close(found, parameter.detach(), rtol=1e-10, atol=1e-12)
    for found, slow in zip(parts(world, "anchor"), anchor, strict=True):
        torch.testing.assert_close(found, slow, rtol=1e-10, atol=1e-12)
    assert all(torch.equal(x, start) for x, start in zip(parts(world, "x"), model().parameters(), strict=True))


@pytest.mark.parametrize("workers", rest_is_slow([1, 2, 3], {3}))
def test_a_run_is_resumed_with_any_number_of_workers(tmp_path: Path, workers: int):
    """With as many workers all saved buffers continue. With other numbers all replicas restart from the model."""
    before = finish(driver(tmp_path, "anchored", workers=2, name="run"))
    trained = sum(everywhere(before, "mine")) / 2
    assert not torch.equal(*everywhere(before, "anchor"))
    again = driver(tmp_path, "anchored", resume=str(tmp_path / "run"), workers=workers, epochs=2)
    world = again.world
    for rank in range(workers):
        for name in ("mine", "anchor"):
            expected = before.arena.tensor(name, rank) if workers == 2 else trained
            torch.testing.assert_close(world.arena.tensor(name, rank), expected, rtol=0, atol=1e-15)
        torch.testing.assert_close(world.arena.tensor("scratch", rank), trained, rtol=0, atol=1e-15)
    assert torch.isfinite(sum(everywhere(finish(again), "mine"))).all()


def test_a_buffer_that_is_not_saved_is_in_no_checkpoint():
    module = model()
    world = World.create(module, Anchored.buffers, 2)
    world.arena.tensor("table").normal_()
    state = State.of(world, module, Anchored())
    assert state.buffers.keys() == Anchored.buffers.keys() - {"scratch"}
    again = World.create(module, Anchored.buffers, 3)
    state.write_to(again)
    assert torch.equal(again.arena.tensor("table"), world.arena.tensor("table"))


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_private_buffers_go_to_the_ranks_that_remain(workers: int):
    module = model()
    world = World.create(module, Elder.buffers, 3)
    for buffer in (world.arena.tensor("x"), *everywhere(world, "elder")):
        buffer.normal_()
    again = World.create(module, Elder.buffers, workers)
    State.of(world, module, Elder()).write_to(again)
    x = again.arena.tensor("x")
    assert torch.equal(x[:7], world.arena.tensor("x")[:7])
    for rank, buffer in enumerate(everywhere(again, "elder")):
        assert torch.equal(buffer, world.arena.tensor("elder", rank) if rank < 3 else x)


def test_refusals_of_a_driver_follow_from_declarations(tmp_path: Path):
    assert has_replicas(Anchored.buffers)
    assert has_locks(Anchored.buffers)
    assert not has_replicas(Elder.buffers)
    Config.from_values({"algorithm": "elder", "read": "inplace"})
    with pytest.raises(UsageError, match="own replica: leave --read inplace out"):
        Config.from_values({"algorithm": "anchored", "read": "inplace"})
    with pytest.raises(UsageError, match="trains each worker's own replica"):
        driver(tmp_path, "anchored", workers=2, clock="const:1")
    finish(driver(tmp_path, "elder", workers=2, clock="const:1"))


def test_workers_average_only_with_buffers_that_have_locks():
    world = World.create(model(), Anchored.buffers, 2)
    view = WorkerView(world, 0, Anchored.buffers)
    with pytest.raises(ValueError, match="'weights' is declared without locks"):
        view.average_with(1, "blocking", "weights")
    with pytest.raises(IndexError, match="a buffer with locks=True"):
        World.create(model(), {"x": SHARED, "mine": MODEL}, 2).locks(0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"starts": "ones"}, "starts as zeros, x, one or a number, not 'ones'"),
        ({"size": "rows"}, "not 'rows'"),
        ({"size": 0}, "not 0"),
        ({"size": Rows(0)}, r"not Rows\(columns=0\)"),
        ({"dtype": "float32"}, "not 'float32'"),
        ({"size": 3, "starts": "x"}, "has the size of x"),
        ({"size": 3, "locks": True, "scope": Scope.REPLICA}, "has the size of x"),
        ({"locks": True}, "replica, not worker"),
    ],
)
def test_a_declaration_that_contradicts_itself_is_refused(values: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        Buffer(**{"scope": WORKER.scope, **values})
