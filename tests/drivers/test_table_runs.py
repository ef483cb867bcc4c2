"""Runs with tables: they equal plain loops with sparse gradients, resume, replay, and count the rows they touch."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import table_runs
import torch
from table_runs import NotFinite, OfTable, Pairs, data, pairs, run, tables
from torch import Tensor, nn

from hogwild.drivers.checkpoints import store
from hogwild.drivers.job.batches import BatchOrder
from hogwild.drivers.job.model import build
from hogwild.errors import CheckpointError, DivergedError, UsageError
from hogwild.theory.rows import measured_row_delay

LR = 0.2
OPTIMIZERS: dict[str, tuple[Callable[[Any], torch.optim.Optimizer], dict[str, Any]]] = {
    "sgd": (lambda p: torch.optim.SGD(p, lr=LR), {}),
    "sgd at its own lr": (lambda p: torch.optim.SGD(p, lr=0.03), {"table_rule": "sgd", "table_lr": 0.03}),
    "adagrad": (lambda p: torch.optim.Adagrad(p, lr=LR, eps=1e-10), {"table_rule": "adagrad"}),
    "adam": (lambda p: torch.optim.SparseAdam(p, lr=0.01, eps=1e-30), {
        "table_rule": "adam", "table_lr": 0.01, "table_eps": 1e-30,
    }),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
@pytest.mark.parametrize("clip", [0.0, 1.2])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_one_worker_equals_the_plain_loop_with_sparse_gradients(tmp_path: Path, name: str, clip: float):
    make, options = OPTIMIZERS[name]
    values = {"algorithm": "sgd", "lr": LR, "clip": clip, "clock": "round-robin", "dtype": "float64", "seed": 5}
    summary, driver = run(tmp_path, **values, **options)

    model = build(driver.config, data(), pairs)
    sparse = [model.items.weight, model.tags.weight]
    optimizers = [torch.optim.SGD(model.head.parameters(), lr=LR), make(sparse)]
    found = data()
    order = BatchOrder(len(found.train), 10, 5)
    clipped = 0
    for ticket in range(3 * order.tickets_per_epoch):
        inputs, targets = found.train.batch(order.indices(ticket), train=True)
        found.loss(model(inputs), targets.double()).backward()
        for weight in sparse:
            weight.grad = weight.grad.coalesce()
        parts = [p.grad._values() if p.grad.is_sparse else p.grad for p in model.parameters()]
        norm = torch.linalg.vector_norm(torch.cat([part.reshape(-1) for part in parts]))
        if clip and norm > clip:
            clipped += 1
            for part in parts:
                part *= clip / norm
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
    found_now = tables(driver)
    for key, weight in (("items.weight", sparse[0]), ("tags.weight", sparse[1])):
        torch.testing.assert_close(found_now[key], weight.detach(), rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(driver.module.head.weight.detach(), model.head.weight.detach(), rtol=1e-9, atol=1e-11)
    assert not clip or 3 < clipped < 30
    assert summary["row_delay"] == summary["row_delay_expected"] == 0
    assert summary["parameters"] == sum(p.numel() for p in model.parameters())


class Linear(nn.Module):
    """Linear in its table, so that a gradient does not depend on what a row has still to make up for."""

    def __init__(self) -> None:
        super().__init__()
        self.items = nn.Embedding(table_runs.ITEMS, 3, sparse=True)

    def forward(self, rows: Tensor) -> Tensor:
        return (self.items(rows) * torch.tensor([0.5, -1.0, 2.0])).sum((1, 2))


def product(output: Tensor, target: Tensor) -> Tensor:
    return (output * target).mean()


@pytest.mark.parametrize(
    ("options", "momentum", "decay"),
    [
        ({"momentum": 0.7, "table_catch_up": True}, 0.7, 0.0),
        ({"weight_decay": 0.05, "table_decay": "catch-up"}, 0.0, 0.05),
    ],
)
def test_catching_up_equals_dense_sgd(tmp_path: Path, options: dict[str, Any], momentum: float, decay: float):
    """Momentum and weight decay reach the rows that a batch does not touch, as they do in dense SGD."""
    found = replace(data(), loss=product)
    values = {"algorithm": "sgd", "lr": LR, "clock": "round-robin", "dtype": "float64", "batch_size": 1, "updates": 40}
    _, driver = run(tmp_path, lambda _: Linear(), found, **values, **options)
    model, order = build(driver.config, found, lambda _: Linear()), BatchOrder(len(found.train), 1, 0)
    model.items.sparse = False
    optimizer = torch.optim.SGD(model.parameters(), lr=LR, momentum=momentum, weight_decay=decay)
    for ticket in range(40):
        inputs, targets = found.train.batch(order.indices(ticket), train=True)
        optimizer.zero_grad()
        found.loss(model(inputs), targets.double()).backward()
        optimizer.step()
    torch.testing.assert_close(driver.module.items.weight, model.items.weight, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("rule", ["row-adagrad", "adam"])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(tmp_path: Path, rule: str):
    values = {"algorithm": "asgd", "workers": 1, "table_rule": rule, "lr": 0.05}
    summary, whole = run(tmp_path, name="whole", epochs=3, **values)
    _, half = run(tmp_path, name="half", epochs=1.5, **values)
    config = {**half.config.values(), "resume": str(half.directory.path), "epochs": 3}
    again, resumed = run(tmp_path, **config)
    for name, tensor in tables(whole).items():
        assert torch.equal(tensor, tables(resumed)[name]), name
    assert torch.equal(whole.module.head.weight, resumed.module.head.weight)
    assert summary["unique_rows_per_push"] == again["unique_rows_per_push"] > 5
    state = store.load(resumed.directory.ckpt).state
    assert torch.equal(state["parameters"]["items.weight"], resumed.module.items.weight)
    assert sum(state["tables"]["table-version:tags.weight"]) > 100


def test_a_run_is_not_resumed_under_another_table_rule(tmp_path: Path):
    _, half = run(tmp_path, workers=1, algorithm="asgd", updates=3)
    config = {**half.config.values(), "resume": str(half.directory.path), "updates": 6, "table_rule": "adam"}
    with pytest.raises(CheckpointError, match="table_rule None -> adam"):
        run(tmp_path, **config)


def test_a_run_of_more_workers_is_taken_up_by_fewer(tmp_path: Path):
    _, three = run(tmp_path, workers=3, algorithm="adamw", epochs=2)
    counted = three.world.tables.counts(three.world.arena).sum(0)
    config = {**three.config.values(), "resume": str(three.directory.path), "workers": 2, "epochs": 3}
    _, two = run(tmp_path, **config)
    now = two.world.tables.counts(two.world.arena).sum(0)
    assert int(counted[0]) == 20
    assert int(now[0]) == 30
    assert now[2] > counted[2]


def test_a_recorded_run_of_one_worker_is_replayed_bit_for_bit(tmp_path: Path):
    values = {"algorithm": "shifted", "workers": 1, "access": "locked", "lr": 0.05}
    _, recorded = run(tmp_path, name="recorded", record=True, **values)
    trace = f"trace:{recorded.directory.path / 'schedule.jsonl'}"
    _, replayed = run(tmp_path, name="replayed", clock=trace, **values)
    for name, tensor in tables(recorded).items():
        assert torch.equal(tensor, tables(replayed)[name]), name


def test_no_schedule_holds_what_two_workers_read_in_place(tmp_path: Path):
    values = {"algorithm": "asgd", "workers": 2, "access": "locked", "lr": 0.01}
    _, recorded = run(tmp_path, record=True, **values)
    with pytest.raises(UsageError, match=r"table items\.weight is read in place while other workers write it"):
        run(tmp_path, name="replayed", clock=f"trace:{recorded.directory.path / 'schedule.jsonl'}", **values)


def test_row_delays_come_out_of_the_virtual_clock(tmp_path: Path):
    """Four workers in turn. A row of every batch has a delay of 3; over all rows the closed form is met, from the
    counts of a run whose batches are not independent (an epoch passes over the samples without replacement).
    """
    summary, driver = run(tmp_path, workers=4, algorithm="asgd", clock="round-robin", lr=0.01, epochs=20)
    counts = torch.cat([tables(driver)[f"table-version:{name}"] for name in driver.world.tables.shapes])
    assert summary["row_delay_expected"] == measured_row_delay(counts.double().numpy(), summary["updates"], 4).mean
    assert 1 < summary["row_delay"] < 3
    assert summary["row_delay"] == pytest.approx(summary["row_delay_expected"], rel=0.05)
    assert summary["shared_rows"] == pytest.approx(summary["shared_rows_expected"], rel=0.05)
    rows = int(counts.sum())
    histogram = summary["row_delay_histogram"]
    assert set(histogram) == {0, 1, 2}
    assert sum(histogram.values()) == rows
    assert rows - histogram[0] == summary["shared_rows"] * rows
    lines = [json.loads(line) for line in (driver.directory.path / "metrics.jsonl").read_text().splitlines()]
    found = Counter()
    for event in (line for line in lines if line["kind"] == "train"):
        found.update(event["interval"].get("row_delay", {}).get("counts", {}))
    assert found == {str(least): count for least, count in histogram.items()}
    assert summary["unique_rows_per_push"] == rows / summary["updates"]


def test_rules_keep_what_the_algorithm_says_and_tell_what_it_does_not(tmp_path: Path):
    values = {"clock": "round-robin", "workers": 2, "updates": 4, "table_rule": "adam", "beta1": 0.8}
    _, driver = run(tmp_path, algorithm="adamw", **values)
    rule = driver.world.tables.training.rule
    assert (rule.name, rule.beta1, rule.beta2) == ("adam", 0.8, 0.999)
    log = (driver.directory.path / "log.txt").read_text()
    assert "the first moment of rule adam is one for all workers; of the other parameters algorithm adamw" in log
    names = {"sgd": "sgd", "asgd": "sgd", "shifted": "momentum", "adamw": "row-adagrad", "lion": "row-adagrad"}
    for number, (algorithm, expected) in enumerate(names.items()):
        values = {"workers": 1, "clock": "round-robin", "updates": 2, "lr": 0.01, "name": str(number)}
        _, driver = run(tmp_path, algorithm=algorithm, **values)
        assert driver.world.tables.training.rule.name == expected


def test_a_large_embedding_with_a_dense_gradient_is_told(tmp_path: Path):
    def model(_: Any) -> nn.Module:
        found = Pairs()
        found.items = nn.Embedding(1_400_000, 3)
        return found

    _, driver = run(tmp_path, model, workers=1, clock="round-robin", updates=1)
    log = (driver.directory.path / "log.txt").read_text()
    assert "Embedding items has 1,400,000 rows and a dense gradient" in log
    assert "tags" not in log


def test_hot_rows_under_sgd_are_warned_of(tmp_path: Path):
    values = {"workers": 4, "clock": "round-robin", "updates": 140, "lr": 0.01, "epochs": None}
    texts = []
    for rule in ("sgd", "row-adagrad"):
        _, driver = run(tmp_path, name=rule, table_rule=rule, **values)
        log = driver.directory.path / "log.txt"
        texts.append(log.read_text() if log.exists() else "")
    assert "the row that is touched most has a delay of about" in texts[0]
    assert "the row that is touched most" not in texts[1]


@pytest.mark.parametrize("model", [NotFinite, OfTable])
def test_a_part_that_is_not_finite_refuses_the_whole_push(tmp_path: Path, model: type[nn.Module]):
    values = {"workers": 1, "algorithm": "sgd", "clock": "round-robin", "batch_size": 1, "updates": 40}
    summary, driver = run(tmp_path, lambda _: model(), on_nonfinite="skip", **values)
    now, started = tables(driver), build(driver.config, data(), pairs)
    assert 0 < summary["refused"] < 20
    assert summary["updates"] + summary["refused"] == 40
    assert all(torch.isfinite(tensor).all() for tensor in now.values())
    assert int(now["table-version:items.weight"][table_runs.ITEMS - 1]) == 0
    assert not torch.equal(now["items.weight"], started.items.weight)
    with pytest.raises(DivergedError, match=r"not finite.*--table-rule row-adagrad keeps the hot rows"):
        run(tmp_path, lambda _: model(), name="stops", **values)
