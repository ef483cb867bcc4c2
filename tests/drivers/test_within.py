"""Gradients that are given up after a time, and a worker's view of versions and of time: in both drivers, with clocks
that the test moves.
"""

from __future__ import annotations

import itertools
import multiprocessing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch
from one_worker import data
from torch import Tensor, nn

from hogwild.algorithms.base import Algorithm, Gradient, Steps, View
from hogwild.buffers import SHARED, SNAPSHOT, Buffer
from hogwild.config import Config
from hogwild.drivers.instruments.trace import Trace
from hogwild.drivers.job.job import Job, make_job
from hogwild.drivers.job.shared_split import SharedSplit
from hogwild.drivers.processes import computation
from hogwild.drivers.processes.context import WorkerContext
from hogwild.drivers.processes.pool import WorkerPool
from hogwild.drivers.processes.worker import Worker
from hogwild.drivers.simulated.clocks import Clock, DelayClock, TimedClock, TraceClock
from hogwild.drivers.simulated.simulation import Simulation
from hogwild.drivers.simulated.simulator import simulated
from hogwild.errors import UsageError
from hogwild.shared.world import World

BATCHES = 8  # of 12 of the 96 samples
WITHIN = 2.0


@dataclass(frozen=True)
class Impatient(Algorithm):
    """Asynchronous SGD that restarts a gradient after `within`, and records the view at each resumption."""

    name: ClassVar[str] = "impatient"
    summary: ClassVar[str] = "restarts slow gradients"
    buffers: ClassVar[Mapping[str, Buffer]] = {"x": SHARED, "snapshot": SNAPSHOT}

    within: float | None = WITHIN
    seen: list[tuple[int, float, int, bool]] = field(default_factory=list)  # rank, now, version, given up

    def worker(self, w: View) -> Steps:
        w.pull()
        while True:
            g = yield Gradient(at=w.snapshot, within=self.within)
            self.seen.append((w.rank, w.now, w.version, g is None))
            if g is not None:
                w.push(g)


class Hand:
    """A clock that moves in the model's passes and in sleep. `attempts`: seconds of (forward, backward)."""

    def __init__(self, attempts: list[tuple[float, float]]) -> None:
        self.now = 100.0
        self.attempts: Iterator[tuple[float, float]] = itertools.chain(attempts, itertools.repeat((0.5, 0.5)))
        self.inputs: list[Tensor] = []  # of each attempt
        self.drawn: list[float] = []  # by each attempt, from torch's generator
        self.backwards = 0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def model(self, _: Any = None) -> nn.Module:
        return Timed(self)


class Timed(nn.Module):
    def __init__(self, hand: Hand) -> None:
        super().__init__()
        self.linear = nn.Linear(5, 3)
        self.hand = hand

    def forward(self, inputs: Tensor) -> Tensor:
        hand = self.hand
        hand.inputs.append(inputs.clone())
        hand.drawn.append(float(torch.rand(())))
        forward, backward = next(hand.attempts)
        hand.now += forward
        outputs = self.linear(inputs)

        def passes(_: Tensor) -> None:
            hand.backwards += 1
            hand.now += backward

        outputs.register_hook(passes)
        return outputs


def job_of(algorithm: Algorithm, model: Callable[[Any], nn.Module], **values: Any) -> Job:
    config = Config(data="digits", batch_size=12, epochs=1, lr=0.1, **{"workers": 2, "takeover": False, **values})
    return replace(make_job(config, data(), model), algorithm=algorithm)


def world_of(job: Job) -> World:
    world = World.create(job.build(), job.algorithm.keeps(), job.config.workers)
    world.control.assign(0, job.total_tickets, [])
    return world


class Scripted(TimedClock):
    """Worker 0's gradients take these durations in turn, then 1; those of every other worker take 1.5."""

    def __init__(self, *durations: float) -> None:
        super().__init__(workers=2, seed=0)
        self._durations = itertools.chain(durations, itertools.repeat(1.0))

    def duration(self, rank: int) -> float:
        return 1.5 if rank else next(self._durations)


@pytest.mark.parametrize("read", ["snapshot", "inplace"])
def test_the_simulator_gives_up_at_that_moment(read: str) -> None:
    algorithm, hand = Impatient(), Hand([])
    job = job_of(algorithm, hand.model, read=read, clock="gamma")
    world = world_of(job)
    simulation = Simulation(job, world, job.build(), Scripted(1.0, 5.0, 2.0, 2.5, 9.0))
    pushes = list(iter(simulation.advance, None))
    first = [push for push in pushes if push.rank == 0]
    assert [push.time for push in first] == [1, 3, 5, 7, 9, 10]  # 2 is within 2
    assert [push.given_up for push in first] == [False, True, False, True, True, False]
    assert first[1].ticket == first[2].ticket
    assert len({push.ticket for push in first[3:]}) == 1
    assert sorted(push.ticket for push in pushes if not push.given_up) == list(range(BATCHES))
    assert simulation.computed == hand.backwards == BATCHES  # a gradient that is given up is not computed
    assert len(hand.inputs) == BATCHES
    stats = [world.control.stats(rank) for rank in range(2)]
    assert [one["dropped"] for one in stats] == [3, 0]
    assert sum(one["pushes"] for one in stats) == world.control.version == BATCHES
    assert [one[:2] for one in algorithm.seen] == [(push.rank, push.time) for push in pushes]
    done = list(itertools.accumulate((not push.given_up for push in pushes), initial=0))
    assert [version for _, _, version, _ in algorithm.seen] == done[:-1]


@pytest.mark.parametrize("clock", [DelayClock({1: 1.0}, 0), TraceClock(Trace.of([(0, 0)], 2))])
def test_a_clock_without_durations_refuses(clock: Clock) -> None:
    job = job_of(Impatient(), Hand([]).model, clock="const:1")
    with pytest.raises(UsageError, match="--clock const:1 draws no durations, and algorithm asgd gives up") as caught:
        simulated(job, world_of(job), job.build(), clock).advance()
    assert "\n" not in str(caught.value)
    job = replace(job, algorithm=Impatient(within=None))
    simulated(job, world_of(job), job.build(), clock)


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan")])
def test_a_time_that_no_gradient_can_keep_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match=f"within is {seconds}: expected seconds > 0"):
        Gradient(at=torch.ones(3), within=seconds)


def work(hand: Hand, folder: Path, **values: Any) -> tuple[Impatient, Worker]:
    """Runs one worker in this process to its end; it starts 7 s after its run."""
    algorithm = Impatient()
    job = job_of(algorithm, hand.model, workers=1, **values)
    _, told = multiprocessing.Pipe(duplex=False)
    worker = Worker(job, WorkerContext(world_of(job), 0, told, folder / "0.log", None, began=hand.now - 7.0), hand)
    worker.run()
    return algorithm, worker


@pytest.mark.parametrize("defers", [False, True])
def test_a_process_gives_up_between_its_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, defers: bool) -> None:
    begin = Worker.enter_run

    def enter_run(worker: Worker) -> None:
        worker.view.updates.defers = defers
        begin(worker)

    monkeypatch.setattr(Worker, "enter_run", enter_run)
    hand = Hand([(1.0, 0.5), (3.0, 99.0), (1.0, 1.5), (1.0, 0.5)])
    algorithm, worker = work(hand, tmp_path)
    assert [given_up for *_, given_up in algorithm.seen] == [False, True, True, *[False] * (BATCHES - 1)]
    assert hand.backwards == BATCHES + 1  # that of the attempt of 3 s was saved
    assert [now for _, now, _, _ in algorithm.seen[:4]] == [8.5, 11.5, 14.0, 15.5]
    assert [version for _, _, version, _ in algorithm.seen] == [0, 1, 1, *range(1, BATCHES)]
    again = hand.inputs[1:4]
    assert all(torch.equal(inputs, again[0]) for inputs in again)  # the same batch ...
    assert len(set(hand.drawn[1:4])) == 1  # ... with the same randomness
    assert len({inputs.sum().item() for inputs in hand.inputs}) == BATCHES
    stats = worker.world.control.stats(0)
    assert (stats["dropped"], stats["pushes"], stats["samples"]) == (2, BATCHES, 96)
    assert worker.world.control.version == BATCHES
    assert not worker.world.control.outstanding()
    assert worker.world.control.drained()


def test_a_straggler_gives_up_when_its_longer_time_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hand = Hand([(0.25, 0.25), (0.5, 0.25), (0.75, 0.0), *[(0.25, 0.25)] * BATCHES])
    monkeypatch.setattr(computation, "time", SimpleNamespace(sleep=hand.sleep))
    algorithm, _ = work(hand, tmp_path, straggler={0: 3.0})
    assert [given_up for *_, given_up in algorithm.seen[:4]] == [False, True, True, False]
    assert [now for _, now, _, _ in algorithm.seen[:4]] == [8.5, 10.5, 12.5, 14.0]
    assert hand.backwards == BATCHES + 1


def test_all_workers_count_from_the_start_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that is replaced later, too."""
    job = job_of(Impatient(within=None), lambda _: nn.Linear(5, 3), start_method="spawn")
    monkeypatch.setattr(Job, "payload", lambda *_: b"")
    pool = WorkerPool(job, world_of(job), SharedSplit(job.data.train, torch.device("cpu")), tmp_path)
    contexts: list[WorkerContext] = []

    def process(args: tuple[bytes, WorkerContext], **_: Any) -> SimpleNamespace:
        contexts.append(args[1])
        return SimpleNamespace(start=lambda: None)

    pool._context = SimpleNamespace(Pipe=multiprocessing.Pipe, Process=process)
    for rank in (0, 1, 0):
        pool.start(rank)
    assert len({seat.began for seat in contexts}) == 1
