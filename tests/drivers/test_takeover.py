"""At the end of a run workers without a batch take over those of slower ones: no sample is lost or counted twice."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from slow import rest_is_slow
from torch import Tensor, nn

import hogwild
from experiments.stragglers import Make, points
from hogwild.config import Config
from hogwild.drivers.job.job import Job, make_job
from hogwild.drivers.job.takeover import takes_over
from hogwild.drivers.processes.watch import Watch
from hogwild.drivers.simulated import clocks
from hogwild.drivers.simulated.simulator import simulated
from hogwild.drivers.simulated.workers import Push
from hogwild.errors import UsageError
from hogwild.kernels.control import Phase
from hogwild.shared.world import World
from hogwild.tasks.pairs import to_data

WORKERS = 16


def job(**values: Any) -> Job:
    common = {
        "data": "experiments.stragglers:points", "model": "experiments.stragglers:Sleeper", "workers": WORKERS,
        "batch_size": 1, "lr": 1e-3,
    }  # fmt: skip
    return make_job(Config.from_values({**common, **values}), to_data(points(4 * WORKERS), "points"), Make(0.0))


def simulate(gradients: int, clock: str = "gamma", **values: Any) -> tuple[list[Push], World, float]:
    """All pushes of a simulated run, its world at the end, and the virtual time at its end."""
    made = job(clock=clock, samples=gradients, **values)
    module = made.build()
    world = World.create(module, made.algorithm.keeps(), WORKERS)
    world.control.assign(0, made.total_tickets, [])
    config = made.config
    simulation = simulated(made, world, made.build(), clocks.parse(clock, WORKERS, 3, config.straggler))
    pushes = []
    while (push := simulation.advance()) is not None:
        pushes.append(push)
    return pushes, world, simulation.now


@pytest.mark.parametrize(
    ("algorithm", "gradients", "most"),
    rest_is_slow(
        [("asgd", 800, 1.15), ("ad-psgd", 800, 1.15), ("asgd", 8000, 1.08), ("ad-psgd", 8000, 1.08)],
        {("asgd", 800, 1.15)},
    ),
)
def test_one_of_sixteen_workers_a_hundred_times_slower(algorithm: str, gradients: int, most: float):
    healthy = simulate(gradients, algorithm=algorithm)[2]
    pushes, world, slowed = simulate(gradients, algorithm=algorithm, straggler={5: 100})
    assert slowed / healthy <= most
    assert sorted(push.ticket for push in pushes) == list(range(gradients)), "each once"
    assert slowed == pushes[-1].time, "the end is the last update"
    totals = [world.control.totals(rank) for rank in range(WORKERS)]
    assert sum(own["samples"] for own in totals) == gradients
    assert sum(own["overtook"] for own in totals) == 1
    assert world.control.outstanding() == []
    waits = simulate(gradients, algorithm=algorithm, straggler={5: 100}, takeover=False)[2] / healthy
    assert waits > most, "else nothing is shown"


@pytest.mark.parametrize("clock", ["gamma:cv=0.1", "round-robin"])
def test_among_like_workers_nobody_takes_over(clock: str):
    on, world, _ = simulate(5 * WORKERS + 3, clock, algorithm="asgd", takeover=True)
    off, other, _ = simulate(5 * WORKERS + 3, clock, algorithm="asgd", takeover=False)
    assert on == off
    assert torch.equal(world.arena.tensor("x"), other.arena.tensor("x"))


def test_several_slow_workers_and_exponential_times():
    stragglers = {0: 50, 1: 100, 2: 1000}
    pushes, world, _ = simulate(200, "random", algorithm="asgd", straggler=stragglers, latency=0.1)
    assert sorted(push.ticket for push in pushes) == list(range(200))
    assert sum(world.control.totals(rank)["overtook"] for rank in range(WORKERS)) >= 3
    assert {push.rank for push in pushes[-3:]}.isdisjoint(stragglers)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"algorithm": "ssgd"}, "workers of algorithm ssgd wait for each other's gradients"),
        ({"algorithm": "k-sync", "access": "locked"}, "workers of algorithm k-sync wait for each other's gradients"),
        ({"shard": "iid"}, "with --shard iid a batch belongs to its worker's part of the data"),
        ({"record": True}, "a recorded schedule gives each batch to one worker"),
        ({"layer_pushes": True, "guard": "element"}, "with layer_pushes a part of a gradient is in the model before"),
        ({"clock": "const:2"}, "clock const:2 draws no durations"),
        ({"between": "ad-psgd"}, "boxes share their batches out among themselves"),
    ],
)
def test_where_it_is_not_possible_it_is_off_and_refused_by_name(values: dict[str, Any], why: str):
    assert not takes_over(job(**values))
    with pytest.raises(UsageError, match=f"takeover lets a second worker compute a batch, and {why}"):
        job(takeover=True, **values)


def test_it_is_on_by_default_for_several_workers():
    assert takes_over(job())
    assert takes_over(job(algorithm="ad-psgd", clock="gamma"))
    assert not takes_over(job(workers=1))
    assert not takes_over(job(takeover=False))


# ---- processes ----------------------------------------------------------------------------------------------------

FEATURES, BATCH = 7, 5


def model() -> nn.Module:
    return nn.Linear(FEATURES, 3)


def data(batches: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    n = batches * BATCH
    return torch.randn(n, FEATURES, generator=generator), torch.randint(3, (n,), generator=generator)


def slow_loss(output: Tensor, target: Tensor) -> Tensor:
    """In a worker it takes 10 ms, and --straggler multiplies that."""
    time.sleep(0.01)
    return nn.functional.cross_entropy(output, target)


def lines(path: str, kind: str) -> list[dict[str, Any]]:
    found = map(json.loads, (Path(path) / "metrics.jsonl").read_text().splitlines())
    return [line for line in found if line["kind"] == kind]


def fit(tmp_path: Path, batches: int, **values: Any) -> hogwild.Result:
    common = {"epochs": 1, "batch_size": BATCH, "lr": 0.05, "loss_fn": slow_loss, "eval_every": 0, "ckpt_every": 0,
              "out": str(tmp_path), "name": "run"}  # fmt: skip
    return hogwild.fit(model, data(batches), **{**common, **values})


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["asgd", "ad-psgd"])
def test_a_run_does_not_wait_for_the_last_batch_of_a_slow_worker(tmp_path: Path, algorithm: str):
    """The straggler's first batch takes longer than the test may; it is ended, and that is no fault."""
    result = fit(tmp_path, 40, algorithm=algorithm, workers=3, straggler={1: 100_000})
    assert result.summary["exit_reason"] == "done"
    assert result.summary["batches_taken_over"] == 1
    assert result.summary["samples"] == 40 * BATCH
    assert result.summary["faults"] == 0
    assert result.summary["wall_s"] < 100
    workers = lines(result.path, "worker")
    assert sum(line["samples"] for line in workers if line["event"] == "ended") == 40 * BATCH
    assert [line["worker"] for line in workers if line["event"] == "overtaken"] == [1]


@pytest.mark.slow
def test_every_sample_counts_once_whoever_is_killed(tmp_path: Path, monkeypatch):
    """Many ends of runs, in each of which a worker is killed somewhere while others take over. A batch whose worker was
    killed between its claim and its booking is done once more, as everywhere.
    """
    once, rng, seen = Watch.once, random.Random(4), {"twice": 0, "overtook": 0, "killed": 0}
    victims: list[int] = []
    after = [0]

    def kills(watch: Watch, timeout_s: float) -> Any:
        ready = [member for member in watch.pool.members.values() if member.is_ready and not member.is_done]
        if not victims and ready and watch.tickets.next >= after[0]:
            victim = rng.choice(ready)
            victims.append(victim.rank)
            time.sleep(rng.uniform(0, 0.02))
            victim.process.kill()
        return once(watch, min(timeout_s, 0.005))

    monkeypatch.setattr(Watch, "once", kills)
    for run in range(20):
        victims.clear()
        after[0] = rng.choice([5, 7, 8, 8, 8])  # tickets that are assigned; 8 are all
        slow = {rng.randrange(4): rng.choice([1, 10, 40])}
        result = fit(tmp_path, 8, workers=4, straggler=slow, seed=run, name=f"run{run}")
        assert result.summary["exit_reason"] == "done"
        assert result.summary["samples"] == 8 * BATCH
        counted = sum(line["samples"] for line in lines(result.path, "worker") if line["event"] == "ended")
        assert counted in (8 * BATCH, 9 * BATCH), "9: killed between the count and the booking"
        seen["twice"] += result.summary["updates"] - 8
        seen["overtook"] += result.summary.get("batches_taken_over", 0)
        seen["killed"] += any(line["reason"] == "died" for line in lines(result.path, "fault"))
        assert 0 <= result.summary["updates"] - 8 <= 1
    print(seen)
    assert seen["overtook"]
    assert seen["killed"]


def test_the_phases_of_a_worker_that_was_overtaken_end_with_the_run():
    _, world, end = simulate(100, algorithm="asgd", straggler={5: 100})
    assert world.control.stats(5)["phase"] == Phase.DONE
    spent = world.control.totals(5)
    assert sum(spent[f"{name}_s"] for name in ("gradient", "update", "paused")) == pytest.approx(end, rel=1e-6)
