"""The Outcome of every gradient, for every operation that uses one."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hogwild.algorithms.base import Gradient, Steps, View
from hogwild.algorithms.gathered.k_batch_async import KBatchAsync
from hogwild.buffers import REPLICA, SHARED, WORKER
from hogwild.config import Config
from hogwild.drivers.job.job import make_job
from hogwild.drivers.simulated.clocks import TimedClock
from hogwild.drivers.simulated.simulation import Simulation
from hogwild.drivers.view.outcome import Outcome
from hogwild.drivers.view.worker_view import WorkerView
from hogwild.shared.world import World
from hogwild.tasks import load

N = 17
BUFFERS = {
    "x": SHARED, "v": WORKER, "snapshot": WORKER, "sum": SHARED, "replica": REPLICA, "g": REPLICA, "multiplier": WORKER,
}  # fmt: skip


@pytest.fixture
def views() -> list[WorkerView]:
    """Two workers of one world, at the first barrier; worker 1 has read the model before worker 0's two pushes."""
    world = World.create(nn.Linear(N, 1, bias=False), BUFFERS, 2)
    world.control.assign(0, 100, [])
    made = [WorkerView(world, rank, BUFFERS, weight_decay=0.01) for rank in range(2)]
    for view in made:
        world.control.join(view.rank, 0, 0.0)
        view.rounds.generation = world.control.arrive(view.rank)
        view.lr = 0.25
        view.pull()
    for _ in range(2):
        made[0].push(gradient())
    return made


def gradient(*, nonfinite: int = 0) -> list[Tensor]:
    g = torch.linspace(0.5, 1.5, N).view(1, N)
    g[0, :nonfinite] = math.inf
    return [g]


def facts(outcome: Outcome) -> dict[str, Any]:
    """The fields that differ from an empty Outcome, without the statistics."""
    plain = {k: v for k, v in outcome._asdict().items() if k != "stats"}
    return {name: value for name, value in plain.items() if value != getattr(Outcome(), name)}


def test_a_push(views: list[WorkerView]) -> None:
    view = views[1]
    view.push(gradient(), lr=lambda delay: 0.1 * delay)
    first = view.outcome
    assert facts(first) == {"version": 2, "delay": 2, "lr": 0.2, "applied": True}
    assert first.stats is not None
    assert first.stats.gap_sq > 0
    view.push(gradient(nonfinite=3))
    assert facts(view.outcome) == {"version": 3, "lr": 0.25, "refused": 3}
    view.push(gradient(), lr=lambda _: None)
    assert facts(view.outcome) == {"version": 3}
    assert view.outcome.stats is None
    view.step(gradient(), rate=2.0)
    assert facts(view.outcome) == {"version": 3, "lr": 0.5, "applied": True}
    assert facts(first) == {"version": 2, "delay": 2, "lr": 0.2, "applied": True}  # the earlier outcome does not change
    with pytest.raises(AttributeError):
        first.delay = 0  # type: ignore[misc]


def test_gathering(views: list[WorkerView]) -> None:
    early, late = views
    early.gather(gradient(), 3)
    assert facts(early.outcome) == {"version": 2, "applied": True}
    late.gather(gradient(), 3, max_delay=1)
    assert facts(late.outcome) == {"version": 2, "delay": 2, "place": 1, "cancelled": True}
    assert late.outcome.stats is None
    late.gather(gradient(nonfinite=5), 3)
    assert facts(late.outcome) == {"version": 2, "place": 1, "refused": 5}
    late.gather(gradient(), 3)
    assert facts(late.outcome) == {"version": 2, "place": 1, "applied": True}
    early.gather(gradient(), 3, lr=0.75)
    assert facts(early.outcome) == {"version": 2, "place": 2, "lr": 0.75, "applied": True}
    assert early.outcome.stats is not None
    assert early.outcome.stats.step_sq > 0
    assert early.version == late.version == 3


def test_a_deposit_and_its_round(views: list[WorkerView]) -> None:
    view = views[1]
    assert view.deposit("g", gradient())
    assert facts(view.outcome) == {"version": 2, "applied": True}
    assert not view.deposit("g", gradient(nonfinite=4))
    assert facts(view.outcome) == {"version": 2, "refused": 4}
    view.push_mean("g")
    assert view.control.stats(1)["refused"] == 1
    assert facts(view.outcome) == {"version": 2, "refused": 4}


def test_admm(views: list[WorkerView]) -> None:
    view = views[1]
    view.admm(gradient(), 1.5)
    assert facts(view.outcome) == {"version": 2, "lr": 0.25, "applied": True}
    view.admm(gradient(nonfinite=2), 1.5)
    assert facts(view.outcome) == {"version": 3, "refused": 2}
    assert view.control.stats(1)["refused"] == 1


@dataclass(frozen=True)
class Fresh(KBatchAsync):
    """Uses fresh gradients only, and does not cancel the others."""

    def worker(self, w: View) -> Steps:
        w.pull()
        while True:
            g = yield Gradient(at=w.snapshot)
            w.gather(g, 2, max_delay=0)


def test_a_gradient_that_is_gathered_too_late_keeps_its_ticket_in_the_simulator() -> None:
    config = Config(data="digits", algorithm="k-batch-async", workers=3, batch_size=200, epochs=1, clock="gamma")
    job = make_job(config, load("digits"), lambda _: nn.Sequential(nn.Flatten(), nn.Linear(64, 10)))
    job = dataclasses.replace(job, algorithm=Fresh())
    world = World.create(job.build(), job.algorithm.keeps(), 3)
    world.control.assign(0, job.total_tickets, [])
    simulation = Simulation(job, world, job.build(), TimedClock(3, 0, factors={0: 1.5}))
    tickets = []
    while (push := simulation.advance()) is not None:
        if not simulation.workers[push.rank].view.outcome.cancelled:
            tickets.append(push.ticket)
    assert sorted(tickets) == list(range(job.total_tickets))
    stats = [world.control.stats(rank) for rank in range(3)]
    assert stats[0]["dropped"] > 0
    assert sum(one["pushes"] for one in stats) == job.total_tickets
    assert sum(one["samples"] for one in stats) == len(job.data.train)
