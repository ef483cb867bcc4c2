"""One worker of the process driver equals the plain loop, and a resumed run equals an uninterrupted one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from slow import rest_is_slow, slow

from hogwild.config import Config
from hogwild.drivers.job.batches import BatchOrder
from hogwild.drivers.job.job import make_job
from hogwild.drivers.processes.trainer import Trainer
from hogwild.drivers.simulated.simulator import Simulator
from hogwild.runs.console import Console
from hogwild.runs.directory import RunDirectory
from hogwild.shared.seeds import seed_batch
from hogwild.tasks import load
from hogwild.tasks.data import Data


class Noisy(torch.nn.Module):
    """A small net with dropout and BatchNorm, which could make two runs differ."""

    def __init__(self) -> None:
        super().__init__()
        self.net = torch.nn.Sequential(
            torch.nn.Flatten(), torch.nn.Linear(64, 32), torch.nn.BatchNorm1d(32), torch.nn.ReLU(),
            torch.nn.Dropout(0.2), torch.nn.Linear(32, 10),
        )  # fmt: skip

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.net(inputs)


def noisy(_data: Data) -> torch.nn.Module:
    return Noisy()


def train(
    tmp_path: Path, factory: Any, /, **values: Any
) -> tuple[dict[str, Any], dict[str, torch.Tensor], RunDirectory]:
    """(summary, parameters, run) of a run in this process."""
    config = Config.from_values({"out": str(tmp_path), "quiet": True, **values})
    run = RunDirectory.create(config) if config.resume is None else RunDirectory.resume(config)
    with Console(quiet=True, log=run.log) as console:
        trainer = Trainer(make_job(config, load(config.data), factory), run, console)
        try:
            summary = trainer.run()
        finally:
            run.close()
    layout, x = trainer.world.layout, trainer.world.arena.tensor("x")
    return summary, {name: view.clone() for name, view in zip(layout.names, layout.views(x), strict=True)}, run


@pytest.mark.parametrize(
    ("algorithm", "options"),
    [
        ("sgd", {"momentum": 0.9, "nesterov": True}),
        slow(("ssgd", {"momentum": 0.9})),
        slow(("asgd", {})),
        slow(("nag-asgd", {})),
        ("shifted", {"momentum": 0.9, "dampening": 0.5}),
        slow(("gap-aware", {})),
    ],
)
def test_one_worker_equals_the_plain_loop(tmp_path: Path, algorithm: str, options: dict[str, Any]):
    values = {"algorithm": algorithm, "workers": 1, "epochs": 2, "dtype": "float64", "weight_decay": 1e-3, "seed": 5}
    _, found, _ = train(tmp_path, noisy, **values, **options)

    config = Config.from_values({**values, **options})
    data = load("digits")
    torch.manual_seed(config.seed)
    model = noisy(data).double()
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=config.lr,
        momentum=options.get("momentum", 0.9 if algorithm in ("nag-asgd", "gap-aware") else 0.0),
        dampening=options.get("dampening", 0.0),
        weight_decay=1e-3,
        nesterov=algorithm == "nag-asgd" or options.get("nesterov", False),
    )
    order = BatchOrder(len(data.train), config.batch_size, config.seed)
    for ticket in range(2 * order.tickets_per_epoch):
        seed_batch(config.seed, ticket)
        inputs, targets = data.train.batch(order.indices(ticket), train=True)
        optimizer.zero_grad()
        data.loss(model(inputs.double()), targets).backward()
        optimizer.step()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(found[name], parameter.detach(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("algorithm", rest_is_slow(["asgd", "shifted", "gap-aware", "ssgd", "k-sync"], {"gap-aware"}))
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(tmp_path: Path, algorithm: str):
    values = {"algorithm": algorithm, "workers": 1, "momentum": 0.9, "seed": 3}
    _, whole, _ = train(tmp_path, noisy, name="whole", epochs=4, **values)
    _, _, run = train(tmp_path, noisy, name="half", epochs=1.5, **values)
    summary, resumed, _ = train(tmp_path, noisy, **{**run.config().values(), "resume": str(run.path), "epochs": 4})
    assert summary["samples"] == 4 * len(load("digits").train)
    for name, parameter in whole.items():
        assert torch.equal(parameter, resumed[name]), name


@pytest.mark.slow
def test_more_workers_take_up_a_run_of_fewer_and_the_other_way_round(tmp_path: Path):
    values: dict[str, Any] = {"algorithm": "shifted", "epochs": 1}
    _, _, run = train(tmp_path, noisy, name="run", workers=3, **values)
    for workers, epochs in ((1, 2), (4, 3)):
        now = {**run.config().values(), "resume": str(run.path), "workers": workers, "epochs": epochs}
        summary, parameters, _ = train(tmp_path, noisy, **now)
        assert summary["samples"] == epochs * len(load("digits").train)
        assert all(torch.isfinite(parameter).all() for parameter in parameters.values())


@pytest.mark.parametrize(
    "algorithm", rest_is_slow(["asgd", "gap-aware", "softsync", "downpour", "k-async"], {"softsync"})
)
def test_a_recorded_run_is_replayed_bit_for_bit(tmp_path: Path, algorithm: str):
    """Two real workers under one lock, float64: the simulator repeats their delays and their parameters exactly. Every
    algorithm and every buffer: test_replay.py.
    """
    values: dict[str, Any] = {"algorithm": algorithm, "workers": 2, "epochs": 2, "dtype": "float64", "seed": 9}
    _, real, run = train(tmp_path, noisy, name="real", access="locked", record=True, **values)
    turns = [json.loads(line) for line in (run.path / "schedule.jsonl").read_text().splitlines()]
    schedule = [turn for turn in turns if turn["kind"] == "gradient"]

    config = Config.from_values(
        {**values, "out": str(tmp_path), "name": "replay", "clock": f"trace:{run.path / 'schedule.jsonl'}"}
    )
    directory = RunDirectory.create(config)
    try:
        simulator = Simulator(make_job(config, load(config.data), noisy), directory, Console(quiet=True))
        simulator.run()
    finally:
        directory.close()
    layout, x = simulator.world.layout, simulator.world.arena.tensor("x")
    for name, view in zip(layout.names, layout.views(x), strict=True):
        assert torch.equal(view, real[name]), name
    _, *rows = (directory.path / "pushes.csv").read_text().splitlines()
    assert [int(row.split(",")[4]) for row in rows] == [line["delay"] for line in schedule]
    assert len(rows) == 90
