"""A recorded run of real processes is replayed bit for bit, whatever the algorithm."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from threading import Thread
from time import monotonic, sleep
from typing import Any, ClassVar

import pytest
import torch
from recorded_runs import (
    BATCHES,
    WAIT_S,
    Crew,
    begun,
    crew,
    differences,
    job_of,
    merged,
    one_gradient,
    options,
    replayed,
    scripted,
    world_of,
)
from slow import rest_is_slow

from hogwild.algorithms import REGISTRY
from hogwild.algorithms.base import SHARED, SNAPSHOT, Algorithm, Buffer, Gradient, Steps, View

ASYNCHRONOUS = sorted(name for name, cls in REGISTRY.items() if not cls.barriers_per_round and cls.max_workers is None)
VARIANTS: dict[str, dict[str, Any]] = {
    "easgd average": {"exchange": "post", "evaluate": "average"},
    "ad-psgd momentum": {"average_momentum": True},
    "ad-psgd blocking": {"pairing": "blocking", "topology": "ring"},
    "asysg-incon block": {"coords": "block", "block": 3},
    "asgd gap": {"penalty": "gap"},
    "asgd clipped": {"clip": 0.5, "shard": "iid"},
}


@pytest.fixture(scope="module")
def team() -> Iterator[Crew]:
    with crew(3) as found:
        yield found


NAMES = [*ASYNCHRONOUS, *VARIANTS]
FEW = {"asgd", "dana-zero", "softsync", "ad-psgd", "malenia"}  # with three workers, besides all with two


@pytest.mark.parametrize(
    ("name", "workers"),
    rest_is_slow(
        [(n, k) for n in NAMES for k in (2, 3)], {(n, k) for n in NAMES for k in (2, 3) if k == 2 or n in FEW}
    ),
)
def test_every_buffer_is_the_same_bit_for_bit(team: Crew, tmp_path: Path, name: str, workers: int):
    values = {**options(name.split()[0], workers), **VARIANTS.get(name, {})}
    real, schedule = team.record(job_of(access="locked", record=True, **values), tmp_path)
    assert real.control.next == BATCHES
    again = replayed(job_of(clock=f"trace:{schedule}", **values), schedule)
    assert differences(real, again.world) == []
    assert again.doubts == []
    start = world_of(job_of(**{**values, "access": "locked"}))
    assert not torch.equal(real.arena.tensor("x"), start.arena.tensor("x")) or "replica" in start.buffers


GATHERING = {"asysg-con": {"gradients": 4}, "softsync": {"softsync_n": 1}, "k-batch-async": {"k": 2}}
ENDS = {  # of worker 0 while worker 1 makes all pushes: tickets of the run, gradients that are left in the sum
    "never takes a ticket": (25, 0),
    "hands its ticket in last": (25, 0),
    "keeps its ticket for ever": (24, 1),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("name", GATHERING)
def test_the_last_partial_update_comes_if_and_only_if_it_came(tmp_path: Path, name: str, end: str):
    """All pushes are by one worker. An update of fewer gradients is made once no gradient can come any more."""
    tickets, left = ENDS[end]
    values = {"algorithm": name, "workers": 2, "samples": 7 * tickets, "epochs": None, **GATHERING[name]}
    keeps = end == "keeps its ticket for ever"
    job = job_of(access="locked", record=True, **values)
    idle = (0,) if end == "never takes a ticket" else ()
    real = scripted(job, tmp_path, lambda ready: 1 if 1 in ready else (-1 if keeps else 0), idle)
    again = replayed(job_of(clock="trace:x", **values), merged(job, tmp_path))
    assert again.computed == tickets - keeps
    assert real.control.gathered == left * (3 if name == "asysg-con" else 1)
    assert differences(real, again.world) == (["next"] if keeps else [])


@pytest.mark.parametrize("name", ["easgd", "sgp", "ad-psgd", "async-diloco", "ringmaster"])
def test_a_scripted_order_is_replayed(tmp_path: Path, name: str):
    """Workers that take turns at random, so that no two runs of turns are alike."""
    draws, values = Random(7), options(name, 3)
    job = job_of(access="locked", record=True, **values)
    real = scripted(job, tmp_path, draws.choice)
    again = replayed(job_of(clock="trace:x", **values), merged(job, tmp_path))
    assert differences(real, again.world) == []


def test_the_update_that_the_waiting_make_of_what_there_is(tmp_path: Path):
    """Two gradients make an update; the other worker leaves while one waits for it."""
    values = {"algorithm": "k-async", "workers": 2, "k": 2}
    job = job_of(access="locked", record=True, **values)
    world, (first, second) = begun(job, tmp_path)
    waiting = Thread(target=one_gradient, args=(first, world.control.take(0)), daemon=True)
    waiting.start()
    deadline = monotonic() + WAIT_S
    while not world.control.awaits_update(0):
        assert monotonic() < deadline
        sleep(0.001)
    assert world.control.version == 0
    second.leave_run()
    waiting.join(WAIT_S)
    assert world.control.version == 1
    first.leave_run()
    schedule = merged(job, tmp_path)
    again = replayed(job_of(clock="trace:x", **values), schedule)
    assert differences(world, again.world) == []


@dataclass(frozen=True)
class Hasty(Algorithm):
    """Gives every gradient up once."""

    name: ClassVar[str] = "hasty"
    buffers: ClassVar[dict[str, Buffer]] = {"x": SHARED, "snapshot": SNAPSHOT}

    def worker(self, w: View) -> Steps:
        w.pull()
        while True:
            g = yield Gradient(at=w.snapshot, within=1e-12)
            assert g is None
            w.push((yield Gradient(at=w.snapshot)))


def test_gradients_that_were_given_up_are_given_up_again(tmp_path: Path):
    values = {"algorithm": "test_replay:Hasty", "workers": 2}
    job, draws = job_of(access="locked", record=True, **values), Random(4)
    real = scripted(job, tmp_path, draws.choice)
    again = replayed(job_of(clock="trace:x", **values), merged(job, tmp_path))
    assert again.computed == real.control.version == BATCHES
    assert [again.world.control.stats(rank)["dropped"] for rank in range(2)] == [
        real.control.stats(rank)["dropped"] for rank in range(2)
    ]
    assert differences(real, again.world) == []


def test_full_normalization_of_each_worker_is_replayed(tmp_path: Path):
    values = {"algorithm": "asgd", "workers": 2, "norm": "full", "norm_state": "worker"}
    job, draws = job_of(access="locked", record=True, **values), Random(1)
    real = scripted(job, tmp_path, draws.choice)
    again = replayed(job_of(clock="trace:x", **values), merged(job, tmp_path))
    assert differences(real, again.world) == []


def test_no_number_is_drawn_where_nothing_is_recorded(tmp_path: Path):
    world = scripted(job_of(access="locked", **options("easgd", 2)), tmp_path, Random(2).choice)
    assert world.control.begin_turn(0, True) == 0
    world.control.end_turn(True)
    assert list(tmp_path.iterdir()) == []
