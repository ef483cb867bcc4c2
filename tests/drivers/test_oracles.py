"""Traces of algorithms (tests/oracles.py) by the workers of processes, by the replay of their recording, and by the
simulator under its clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path

import pytest
import torch
from oracles import AFTER, CANCELLING, LR, THREE, TIMES, UNEQUAL, arrivals, near
from recorded_runs import differences, merged, replayed, scripted, world_of
from slow import rest_is_slow

from hogwild.config import Config
from hogwild.drivers.job.job import Job, make_job
from hogwild.drivers.simulated import clocks
from hogwild.drivers.simulated.simulator import simulated
from hogwild.tasks.data import Data
from hogwild.tasks.splits import TensorSplit

STRAGGLERS = {rank: time for rank, time in enumerate(TIMES) if time != 1}


class Point(torch.nn.Module):
    """A model of one parameter, which is its output whatever the input."""

    def __init__(self, _: Data | None = None) -> None:
        super().__init__()
        self.x = torch.nn.Parameter(torch.zeros(1))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.x.expand(len(inputs))


def half_of_square(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return ((output - target) ** 2).mean() / 2


def job_of(algorithm: str, updates: int, **values: object) -> Job:
    """Worker i has the optimum b_i in all of its samples; two tickets more than updates, for workers that end late."""
    targets = torch.tensor(THREE, dtype=torch.float64).repeat_interleave(4)
    split = TensorSplit(torch.zeros(len(targets), 1), targets)
    data = Data("T", split, split, (1,), 0, "vector", loss=half_of_square, score=None)
    common = {"data": "digits", "workers": 3, "batch_size": 1, "shard": "contiguous", "dtype": "float64", "lr": LR,
              "weight_decay": 0.0, "schedule": "constant", "samples": updates + 2}  # fmt: skip
    return make_job(Config.from_values({**common, "algorithm": algorithm, **values}), data, Point)


@pytest.mark.parametrize("after", rest_is_slow(AFTER, {28}))
@pytest.mark.parametrize(("name", "options", "expected"), UNEQUAL)
def test_workers_of_processes_and_their_replay(
    tmp_path: Path, name: str, options: dict[str, object], expected: tuple[float, ...], after: int
):
    turns = islice(arrivals(), after)
    job = job_of(name, after, access="locked", record=True, **options)
    real = scripted(job, tmp_path, lambda ready: next(turns, -1))
    master = expected[AFTER.index(after)]
    assert [float(real.arena.tensor("x")[0])] == near(master)
    again = replayed(job_of(name, after, clock="trace:x", **options), merged(job, tmp_path))
    assert [float(again.world.arena.tensor("x")[0])] == near(master)
    assert set(differences(real, again.world)) <= {"next"}


def masters(name: str, updates: int, options: Mapping[str, object]) -> tuple[list[float], dict[float, float]]:
    """In the simulator: the master after each arrival, and time -> the master at its updates."""
    job = job_of(name, updates, clock="round-robin", straggler=STRAGGLERS, **options)
    world, after, at = world_of(job), [], {}
    run = simulated(job, world, job.build(), clocks.parse("round-robin", 3, 0, STRAGGLERS))
    for _ in range(updates):
        version, push = world.control.version, run.advance()
        after.append(float(world.arena.tensor("x")[0]))
        if world.control.version > version:
            at[round(push.time, 9)] = after[-1]
    return after, at


@pytest.mark.parametrize(("name", "options", "expected"), UNEQUAL)
def test_the_simulator(name: str, options: dict[str, object], expected: tuple[float, ...]):
    """Up to 28 arrivals, before two come at the same time."""
    after, _ = masters(name, 28, options)
    assert [after[count - 1] for count in AFTER[:3]] == near(*expected[:3])


def test_ringleader_with_fresh_models_is_the_public_code():
    _, at = masters("ringleader", 28, {"fresh": True})
    assert [at[time] for time in (6.3, 10.5, 14.7)] == near(0.7, 1.249629629630, 1.621450617284)


@pytest.mark.parametrize(("name", "options", "expected"), CANCELLING)
def test_the_simulator_where_updates_cancel(name: str, options: dict[str, object], expected: dict[float, float]):
    _, at = masters(name, 50, options)
    assert [at[time] for time in expected] == near(*expected.values())
