"""Runs with parts of the data: the same batches in any interleaving, in processes and in the simulator."""

from __future__ import annotations

import os
import signal
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from slow import rest_is_slow
from test_equality import noisy, train
from test_simulator import net, simulate

from hogwild.cli.flags import parse
from hogwild.config import Config
from hogwild.drivers.job.batches import ShardedOrder
from hogwild.drivers.job.job import make_job
from hogwild.errors import UsageError
from hogwild.runs.directory import RunDirectory
from hogwild.tasks import load
from hogwild.tasks.data import Data, Split
from hogwild.tasks.pairs import to_data

CLASSES = load("digits").train.tensors()["targets"]
N = len(CLASSES)


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> dict[int, list[list[int]]]:
    """Records the batches that each worker begins during a test."""
    found: dict[int, list[list[int]]] = defaultdict(list)
    begin = ShardedOrder.begin

    def spy(order: ShardedOrder, ticket: int, rank: int, completed: int) -> torch.Tensor:
        index = begin(order, ticket, rank, completed)
        assert len(found[rank]) == completed, "one batch after the other, none twice"
        found[rank].append(index.tolist())
        return index

    monkeypatch.setattr(ShardedOrder, "begin", spy)
    return found


@pytest.mark.parametrize(
    ("algorithm", "read"),
    rest_is_slow([("asgd", "snapshot"), ("asgd", "inplace"), ("d2", "snapshot")], {("d2", "snapshot")}),
)
def test_a_worker_draws_the_same_batches_in_any_interleaving(
    tmp_path: Path, taken: dict[int, list[list[int]]], algorithm: str, read: str
):
    runs = []
    for clock in ("round-robin", "gamma:cv=0.1,het=0.6"):
        taken.clear()
        values = {"shard": "label", "workers": 5, "clock": clock, "algorithm": algorithm, "read": read, "epochs": 3}
        summary, _, _ = simulate(tmp_path, clock.partition(":")[0], **values)
        assert summary["samples"] == sum(len(batch) for batches in taken.values() for batch in batches)
        assert abs(summary["samples"] - 3 * N) < 16 * 2
        runs.append(dict(taken))
    for rank in range(5):
        assert {int(CLASSES[i]) for batch in runs[0][rank] for i in batch} == {2 * rank, 2 * rank + 1}
        both = min(len(runs[0][rank]), len(runs[1][rank]))
        assert both > 10
        assert runs[0][rank][:both] == runs[1][rank][:both]


def test_a_straggler_falls_behind_in_its_own_part_only(tmp_path: Path, taken: dict[int, list[list[int]]]):
    simulate(tmp_path, "a", shard="iid", clock="round-robin", straggler="2:4", updates=130)
    slow = dict(taken)
    taken.clear()
    simulate(tmp_path, "b", shard="iid", clock="round-robin", updates=130)
    assert len(slow[2]) < len(taken[2]) / 3
    assert slow[2] == taken[2][: len(slow[2])]
    assert slow[0][: len(taken[0])] == taken[0]


@pytest.mark.parametrize("order", rest_is_slow(["shuffled", "sorted", "single-class"], {"shuffled"}))
@pytest.mark.parametrize("shard", ["none", "label"])
def test_two_runs_write_the_same_bytes(tmp_path: Path, shard: str, order: str):
    runs = [simulate(tmp_path, name, shard=shard, order=order, workers=5)[1] for name in ("a", "b")]
    for file in ("metrics.jsonl", "pushes.csv"):
        assert (runs[0].path / file).read_bytes() == (runs[1].path / file).read_bytes()


def test_a_recorded_run_of_real_workers_is_replayed_bit_for_bit(tmp_path: Path):
    """Three real workers under one lock: the simulator gets the same batches from the workers' own counts."""
    values: dict[str, Any] = {"shard": "dirichlet:0.5", "workers": 3, "epochs": 2, "dtype": "float64", "seed": 9}
    _, real, run = train(tmp_path, net, name="real", access="locked", record=True, **values)
    trace = f"trace:{run.path / 'schedule.jsonl'}"
    _, _, replay = simulate(tmp_path, "replay", clock=trace, **values)
    layout, x = replay.world.layout, replay.world.arena.tensor("x")
    for name, view in zip(layout.names, layout.views(x), strict=True):
        assert torch.equal(view, real[name]), name


def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(tmp_path: Path):
    values = {"shard": "contiguous", "order": "sorted", "workers": 1, "seed": 3}
    _, whole, _ = train(tmp_path, noisy, name="whole", epochs=4, **values)
    _, _, run = train(tmp_path, noisy, name="half", epochs=1.5, **values)
    summary, resumed, _ = train(tmp_path, noisy, **{**run.config().values(), "resume": str(run.path), "epochs": 4})
    assert summary["samples"] == round(4 * N / 32) * 32
    for name, parameter in whole.items():
        assert torch.equal(parameter, resumed[name]), name


@pytest.mark.slow
def test_a_killed_worker_is_replaced_in_its_own_part(start):
    run = start("--shard", "label", "--workers", 2, "--epochs", 10, "--respawn", 1, "--straggler", "0:20,1:20")
    os.kill(run.wait_for_workers(2)[1], signal.SIGKILL)
    code, summary, err = run.end()
    assert code == 0, err
    assert summary["faults"] == 1
    assert summary["samples"] == round(10 * N / 32) * 32


def test_fewer_workers_go_on_with_larger_parts(tmp_path: Path):
    _, _, run = train(tmp_path, net, name="run", workers=3, epochs=1, shard="label")
    now = {**run.config().values(), "resume": str(run.path), "workers": 2, "epochs": 2}
    summary, _, _ = train(tmp_path, net, **now)
    assert summary["samples"] == round(2 * N / 32) * 32


@pytest.mark.parametrize("order", ["sorted", "single-class"])
def test_batches_of_the_whole_set_keep_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: str):
    seen: list[torch.Tensor] = []

    class Spied(Split):
        def __len__(self) -> int:
            return N

        def batch(self, index: torch.Tensor, *, train: bool) -> tuple[Any, Any]:
            if train:
                seen.append(CLASSES[index])
            return load("digits").train.batch(index, train=train)

    data = load("digits")
    data.train = Spied()
    monkeypatch.setattr("test_simulator.make_job", lambda config, _data, model: make_job(config, data, model))
    summary, _, _ = simulate(tmp_path, order=order, clock="round-robin", workers=3, epochs=1)
    del seen[0]  # the batch with which the run checks the metric
    assert summary["samples"] == N == sum(map(len, seen))
    if order == "sorted":
        assert (torch.cat(seen).diff() >= 0).all()
    else:
        assert all(len(batch.unique()) == 1 for batch in seen)
        assert len(seen) == sum(-(-int(count) // 32) for count in torch.bincount(CLASSES))


@dataclass
class Odd(Split):
    """A user's own split with targets that are not classes."""

    target: Any

    def __len__(self) -> int:
        return 80

    def batch(self, index: torch.Tensor, *, train: bool) -> tuple[Any, Any]:
        return torch.ones(len(index), 3), self.target(len(index)) if callable(self.target) else self.target


def own(target: Any) -> Data:
    split = Odd(target)
    return Data("mine", split, split, (3,), 0, "vector")


@pytest.mark.parametrize("option", [{"shard": "label"}, {"shard": "dirichlet:1"}, {"order": "sorted"}])
@pytest.mark.parametrize(
    ("data", "what"),
    [
        (lambda: own(lambda n: torch.rand(n)), r"float32 \[80\]"),
        (lambda: own(lambda n: torch.zeros(n, 4, dtype=torch.int64)), r"int64 \[80, 4\]"),
        (lambda: own({"a": 1}), "a dict"),
        (lambda: to_data(((torch.rand(80, 3), torch.rand(80)),) * 2, "mine"), r"float32 \[80\]"),
    ],
)
def test_data_without_classes_are_refused_in_one_line(option: dict[str, str], data: Any, what: str):
    config = Config.from_values({"batch_size": 4, **option})
    with pytest.raises(
        UsageError, match=f"--{'.*'.join(next(iter(option.items())))} .*targets of mine are {what}"
    ) as caught:
        make_job(config, data(), net)
    assert "\n" not in str(caught.value)


def test_iid_parts_need_no_classes_and_own_data_may_have_them():
    make_job(Config.from_values({"batch_size": 4, "shard": "iid"}), own(lambda n: torch.rand(n)), net)
    job = make_job(Config.from_values({"batch_size": 4, "shard": "label"}), own(lambda n: torch.arange(n) // 7), net)
    assert isinstance(job.order, ShardedOrder)
    assert [len(part) for part in job.order.parts] == [42, 38]


def test_a_resume_cannot_divide_the_data_anew(tmp_path: Path):
    run = RunDirectory.create(Config.from_values({"out": str(tmp_path), "name": "run", "shard": "iid"}))
    run.close()
    with pytest.raises(UsageError, match="cannot change shard from 'iid' to 'label'"):
        parse(["--resume", str(run.path), "--epochs", "2", "--shard", "label"])


def test_a_wrong_shard_or_order_is_refused():
    with pytest.raises(UsageError, match="shard: 'labels' is not allowed; it must be none, iid, contiguous, label"):
        Config.from_values({"shard": "labels"})
    with pytest.raises(UsageError, match="order: 'random' is not allowed"):
        Config.from_values({"order": "random"})
