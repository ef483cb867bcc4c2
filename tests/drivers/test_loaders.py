"""Loaders read ahead what the workers would read: the same batches, the same random numbers, whatever dies."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from slow import slow
from torch import Tensor, nn
from torch.utils.data import Dataset

import hogwild
from hogwild.config import Config
from hogwild.drivers.job.job import Job, make_job
from hogwild.drivers.job.samples import Reader
from hogwild.drivers.processes import slots as slots_module
from hogwild.drivers.processes.batch_source import BatchSource
from hogwild.drivers.processes.loader import Loader
from hogwild.drivers.processes.loader_pool import LoaderPool
from hogwild.drivers.processes.slots import BEGUN, READY, Slots, pickled
from hogwild.errors import UsageError
from hogwild.kernels.words import store_word
from hogwild.shared.seeds import States
from hogwild.shared.world import World
from hogwild.tasks.data import Data
from hogwild.tasks.splits import DatasetSplit

SIZE, BATCH = 47, 6
PLACE = (torch.device("cpu"), torch.float32)


class Items(Dataset[Any]):
    """Samples of 9 numbers with noise from the generators of `draws`; those in `bad` cannot be read."""

    def __init__(self, draws: str = "", bad: tuple[int, ...] = ()) -> None:
        self.draws, self.bad = draws, bad

    def __len__(self) -> int:
        return SIZE

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        if i in self.bad:
            raise OSError("no such file")
        x = torch.linspace(i, i + 1, 9)
        if "torch" in self.draws:
            x = x + torch.rand(9)
        if "numpy" in self.draws:
            x = x + float(np.random.rand())
        if "python" in self.draws:
            x = x + random.random()
        return x / SIZE, i % 3


def model() -> nn.Module:
    return nn.Sequential(nn.Linear(9, 5), nn.Dropout(0.3), nn.Tanh(), nn.Linear(5, 3))


def job_of(dataset: Items, **values: Any) -> Job:
    split = DatasetSplit(dataset)
    config = Config.from_values({
        "data": "items:pair", "model": "items:model", "batch_size": BATCH, "lr": 0.1, "workers": 1, "epochs": 2,
        "loaders": 2, **values,
    })  # fmt: skip
    return make_job(config, Data("items", split, split, (9,), 3, "vector"), lambda _: model())


def world_of(job: Job, workers: int) -> World:
    """Its control block has all tickets to assign. It must be kept: the block is in its memory."""
    world = World.create(job.build(), job.algorithm.keeps(), workers)
    world.control.assign(0, job.total_tickets, [])
    return world


def parts_equal(one: Any, other: Any) -> bool:
    return all(
        torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) and a[2] == b[2]
        for a, b in zip(one.parts, other.parts, strict=True)
    ) and [bad.index for bad in one.bad] == [bad.index for bad in other.bad]


@pytest.mark.parametrize(
    ("draws", "accumulate"), [("", 1), ("torch", 1), ("numpy", 1), ("python", 1), ("", 3), ("torch numpy python", 3)]
)
def test_a_batch_of_a_loader_is_the_one_that_the_worker_would_read(draws: str, accumulate: int):
    """The generators are left in the same state too: dropout in the model draws on."""
    job = job_of(Items(draws, bad=(11,)), accumulate=accumulate)
    world = world_of(job, 1)
    control = world.control
    slots = Slots.create(2, 3, 1 << 14)
    loaders = [Loader(job, control, slots, number, 1, 1) for number in range(2)]
    source = BatchSource(job, Reader(job.data.train), control, 0, PLACE, slots, lambda: None)
    plain = BatchSource(job, Reader(job.data.train), control, 0, PLACE, None, lambda: None)
    for ticket in range(job.total_tickets):
        for loader in loaders:
            while loader.step():
                pass
        loaded = slots.read(ticket, lambda: None)
        assert loaded is not None, "it was made ahead"
        assert (loaded.states is None) == (not draws), "generators are sent only where reading drew numbers"
        assert control.take(0) == ticket
        random.seed(77)  # whatever the generators have been before
        found, after = source.of_ticket(ticket), States.now()
        torch.manual_seed(5)
        wanted = plain.of_ticket(ticket)
        assert parts_equal(found, wanted)
        assert after.equals(States.now())
        control.complete(0)
    assert not any(loader.step() for loader in loaders), "all tickets are taken"


def test_loaders_leave_out_what_workers_have_taken_and_go_no_further_than_their_slots():
    job = job_of(Items())
    world = world_of(job, 2)
    control = world.control
    slots = Slots.create(2, 3, 1 << 14)
    first, second = (Loader(job, control, slots, number, 2, 1) for number in range(2))
    while first.step() or second.step():
        pass
    ready = [ticket for ticket in range(10) if slots.read(ticket, lambda: None) is not None]
    assert ready == [0, 1, 2, 3], "six slots, of which the last two are left to the two workers"
    for ticket in range(7):
        assert control.take(0) == ticket
        control.complete(0)
    while first.step() or second.step():
        pass
    assert {t for t in range(5, 12) if slots.read(t, lambda: None) is not None} == {7, 8, 9, 10}


def test_a_slot_gives_its_batch_only_while_it_holds_it_whole():
    slots = Slots.create(1, 2, 1 << 12)
    value = {"x": torch.arange(15.0).view(3, 5), "y": [torch.tensor([1, 2]), "a"], "e": torch.empty(0, 4)}
    assert slots.read(0, lambda: None) is None, "not begun"
    slots.write(0, lambda: value)
    found = slots.read(0, lambda: None)
    assert torch.equal(found["x"], value["x"])
    assert torch.equal(found["y"][0], value["y"][0])
    assert found["y"][1] == "a"
    assert found["e"].shape == (0, 4)
    found["x"] += 1
    assert torch.equal(slots.read(0, lambda: None)["x"], value["x"]), "each reader has a copy of its own"
    assert slots.read(2, lambda: None) is None, "a later batch of the same slot"
    slots.write(2, lambda: value)
    assert slots.read(0, lambda: None) is None, "written over"
    assert slots.read(2, lambda: None) is not None
    slots.write(1, lambda: torch.zeros(2000))
    assert slots.read(1, lambda: None) is None, "larger than a slot"


def test_a_batch_that_is_written_over_while_it_is_copied_is_not_used(monkeypatch):
    slots = Slots.create(1, 1, 1 << 12)
    slots.write(0, lambda: torch.ones(7))
    whole = slots_module._starts

    def starts(sizes: list[int]) -> list[int]:
        store_word(slots.memory.address + BEGUN, 2)  # the loader begins ticket 1
        return whole(sizes)

    monkeypatch.setattr(slots_module, "_starts", starts)
    assert slots.read(0, lambda: None) is None


@pytest.mark.parametrize("how", ["made", "died", "stands still"])
def test_a_worker_waits_for_a_loader_that_is_at_its_batch(how: str, monkeypatch):
    monkeypatch.setattr(slots_module, "PATIENCE_S", 0.05 if how == "stands still" else 30.0)
    slots = Slots.create(1, 1, 1 << 12)
    slots.write(0, lambda: torch.ones(7))
    store_word(slots.memory.address + READY, 0)  # as while it is made
    ends: dict[str, Callable[[], object]] = {
        "made": lambda: store_word(slots.memory.address + READY, 1),
        "died": lambda: slots.bury(0),
        "stands still": lambda: None,
    }
    timer = threading.Timer(0.02, ends[how])
    timer.start()
    found = slots.read(0, lambda: None)
    timer.join()
    assert (found is not None) == (how == "made")


def test_the_room_of_a_slot_fits_a_batch():
    """Also of parts whose sizes differ, as long as it is at most twice the first."""
    job = job_of(Items())
    pool = LoaderPool(job, None, Path(), print)  # type: ignore[arg-type]  # it is not started
    assert pool.slots is not None
    assert pool.slots.room >= 2 * sum(map(len, pickled(torch.zeros(BATCH, 9))))
    assert pool.slots.ahead >= 1 + 2
    assert LoaderPool(job_of(Items(), loaders=0), None, Path(), print).slots is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"shard": "iid"}, "loaders read the batches of tickets ahead, and with --shard iid each worker has its own"),
        ({"between": "ad-psgd"}, "loaders read the batches of tickets ahead, and boxes are dealt theirs"),
        ({"clock": "gamma"}, "loaders concerns worker processes, and --clock simulates them"),
        ({"loaders": -1}, "loaders"),
    ],
)
def test_where_loaders_mean_nothing_they_are_refused_by_name(values: dict[str, Any], why: str):
    with pytest.raises(UsageError, match=why):
        job_of(Items(), **values)


def test_loaders_are_refused_for_tensors(tmp_path: Path):
    with pytest.raises(UsageError, match="lies in memory, where a worker takes a batch in microseconds: leave loaders"):
        hogwild.fit(
            model, (torch.rand(40, 9), torch.zeros(40, dtype=torch.int64)), loaders=1, batch_size=9, out=str(tmp_path)
        )


def test_loaders_are_refused_for_a_loop_of_ones_own():
    with pytest.raises(UsageError, match="leaves the batches to your own loops: loaders is for"):
        hogwild.launch(print, model, loaders=1)


# ---- runs ---------------------------------------------------------------------------------------------------------


def fit(tmp_path: Path, name: str, dataset: Items, **values: Any) -> hogwild.Result:
    common = {"workers": 1, "epochs": 3, "batch_size": BATCH, "lr": 0.1, "seed": 3, "eval_every": 0, "ckpt_every": 1,
              "out": str(tmp_path), "name": name}  # fmt: skip
    return hogwild.fit(model, (dataset, Items()), **{**common, **values})


def weights(result: hogwild.Result) -> Tensor:
    return nn.utils.parameters_to_vector(result.model.parameters()).detach()


@pytest.mark.parametrize("loaders", [1, slow(2)])
def test_a_run_of_one_worker_ends_with_the_same_bits(tmp_path: Path, loaders: int):
    plain = fit(tmp_path, "plain", Items("torch numpy python"))
    ahead = fit(tmp_path, "ahead", Items("torch numpy python"), loaders=loaders)
    assert torch.equal(weights(plain), weights(ahead))
    assert (Path(ahead.path) / "workers" / f"loader-{loaders - 1}.log").exists()


@pytest.mark.slow
def test_a_run_that_is_resumed_with_loaders_ends_with_the_same_bits(tmp_path: Path):
    whole = fit(tmp_path, "whole", Items("torch"))
    first = fit(tmp_path, "parts", Items("torch"), epochs=1, loaders=2)
    second = fit(tmp_path, "parts", Items("torch"), resume=first.path, loaders=2)
    assert torch.equal(weights(whole), weights(second))


@pytest.mark.slow
def test_bad_samples_are_counted_once_each_time(tmp_path: Path):
    plain = fit(tmp_path, "plain", Items(bad=(11,)), workers=2, epochs=1)
    ahead = fit(tmp_path, "ahead", Items(bad=(11,)), workers=2, epochs=1, loaders=2)
    assert plain.summary["bad_samples"] == ahead.summary["bad_samples"] == 1


class Slow(Items):
    """Each sample takes 2 ms."""

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        threading.Event().wait(0.002)
        return super().__getitem__(i)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_run_goes_on_without_a_loader_that_is_killed_or_stopped(tmp_path: Path, how: int, monkeypatch):
    monkeypatch.setattr(slots_module, "PATIENCE_S", 0.1)
    start = LoaderPool.start
    pids: list[int] = []

    def start_and_hit(pool: LoaderPool, payload: Any) -> None:
        start(pool, payload)
        pids.extend(process.pid for process in pool._processes.values() if process.pid)
        threading.Timer(1.0, os.kill, (pids[0], how)).start()

    monkeypatch.setattr(LoaderPool, "start", start_and_hit)
    result = fit(tmp_path, "run", Slow(), workers=2, epochs=30, loaders=2)
    assert result.summary["samples"] == 30 * SIZE
    assert result.summary["exit_reason"] == "done"
    events = [json.loads(line) for line in (Path(result.path) / "metrics.jsonl").read_text().splitlines()]
    died = [event["message"] for event in events if event["kind"] == "fault"]
    if how == signal.SIGKILL:
        assert len(died) == 1
        assert f"loader 0 (pid {pids[0]}) died: SIGKILL" in died[0]
        assert "workers read its batches themselves" in died[0]
    else:
        assert died == []
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids), "no loader is left"
