"""Updates that take several gradients, against the papers' pseudo-code in plain float64 torch."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest
import torch
from harness import Point, Team, make

from hogwild.errors import UsageError

N = 37
START = torch.linspace(-1.0, 1.5, N, dtype=torch.float64)
KINDS = [  # (options, fresh gradients only, workers wait after a delivery)
    ("k-sync", {"k": 3}, True, True),
    ("k-batch-sync", {"k": 3}, True, False),
    ("k-async", {"k": 3}, False, True),
    ("k-batch-async", {"k": 3}, False, False),
    ("softsync", {"softsync_n": 2}, False, False),
    ("softsync", {"softsync_n": 2, "modulation": "gradient"}, False, False),
    ("softsync", {"softsync_n": 2, "modulation": "average"}, False, False),
]


def gradient(at: torch.Tensor, rank: int) -> list[torch.Tensor]:
    return [torch.sin((rank + 1) * at[:N]) + 0.3 * rank + 0.01]


@dataclass
class Server:
    """The parameter server of the papers: sums the gradients it receives and steps along their mean."""

    count: int
    lr: float
    momentum: float
    dampening: float
    weight_decay: float
    x: torch.Tensor = field(default_factory=lambda: START.clone())
    v: torch.Tensor | None = None
    version: int = 0
    gathered: list[torch.Tensor] = field(default_factory=list)

    def take(self, g: torch.Tensor) -> None:
        self.gathered.append(g)
        if len(self.gathered) == self.count:
            d = torch.stack(self.gathered).mean(0) + self.weight_decay * self.x
            self.v = d if self.v is None else self.momentum * self.v + (1 - self.dampening) * d
            self.x = self.x - self.lr * self.v
            self.version += 1
            self.gathered = []


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize(("name", "options", "fresh", "waits"), KINDS)
def test_a_random_schedule_equals_the_parameter_server(
    name: str, options: dict[str, object], fresh: bool, waits: bool, momentum: float
):
    workers, lr, rng = 6, 0.05, random.Random(11)
    dampening = 0.25 if momentum else 0.0
    algorithm = make(name, momentum=momentum, dampening=dampening, **options)
    team = Team(algorithm, Point(START), workers, gradient, lr, weight_decay=0.01)

    lr = lr / 2 if options.get("modulation") == "average" else lr
    server = Server(3, lr, momentum, dampening, 0.01)
    snapshots, versions = [START] * workers, [0] * workers
    waiting: set[int] = set()
    delays: list[int] = []
    dropped = 0
    for _ in range(400):
        rank = rng.randrange(workers)
        team.turn(rank)
        if rank in waiting:
            continue
        delay = server.version - versions[rank]
        if fresh and delay:
            dropped += 1
        else:
            weight = 1 / max(1, delay) if options.get("modulation") == "gradient" else 1.0
            delays.append(delay)
            server.take(weight * gradient(snapshots[rank], rank)[0])
            if waits:
                waiting.add(rank)
        if not server.gathered:
            waiting, idle = set(), waiting
            for other in idle:
                snapshots[other], versions[other] = server.x, server.version
        if rank not in waiting:
            snapshots[rank], versions[rank] = server.x, server.version

    torch.testing.assert_close(team.x[0], server.x, rtol=1e-12, atol=1e-12)
    control = team.world.control
    stats = [control.stats(rank) for rank in range(workers)]
    assert control.version == server.version > 30
    assert control.gathered == len(server.gathered)
    assert sum(one["pushes"] for one in stats) == len(delays) == 3 * server.version + len(server.gathered)
    assert sum(one["dropped"] for one in stats) == dropped
    histogram = [sum(column) for column in zip(*(control.delays(rank) for rank in range(workers)), strict=True)]
    assert histogram[: max(delays) + 1] == [delays.count(delay) for delay in range(max(delays) + 1)]
    assert (dropped > 0) == fresh


def test_the_gap_is_measured_for_every_gradient():
    """Two gradients per step, both taken at the start; the gap of the next two is zero and the length of the step."""
    team = Team(make("k-batch-async", k=2), Point(START), 3, lambda at, rank: [torch.ones(N, dtype=torch.float64)], 0.5)
    team.turns([0, 1, 2, 0])
    gaps = [team.world.control.stats(rank)["gap_sq"] for rank in range(3)]
    assert gaps == pytest.approx([0.25 * N, 0.0, 0.25 * N])
    steps = [team.world.control.stats(rank)["step_sq"] for rank in range(3)]
    assert steps == pytest.approx([0.25 * N, 0.25 * N, 0.0])


@pytest.mark.parametrize("name", ["k-sync", "k-async", "k-batch-sync", "k-batch-async", "softsync"])
def test_a_bad_gradient_is_left_out_of_the_mean(name: str):
    bad = True

    def sometimes(at: torch.Tensor, rank: int) -> list[torch.Tensor]:
        return [torch.full((N,), float("nan") if bad and rank == 1 else float(rank + 1), dtype=torch.float64)]

    team = Team(make(name), Point(torch.zeros(N, dtype=torch.float64)), 3, sometimes, lr=1.0)
    bad = False
    team.turns([0, 1, 2])
    assert team.world.control.version == 0, "two of three have arrived"
    team.turn(1)
    assert torch.equal(team.x[0], torch.full((N,), -2.0, dtype=torch.float64))
    assert [team.world.control.stats(rank)["refused"] for rank in range(3)] == [0, 1, 0]


def test_a_sum_that_overflows_is_refused_and_no_worker_waits_for_it():
    huge = torch.full((N,), 3e38, dtype=torch.float32)
    team = Team(make("k-sync"), Point(torch.ones(N)), 2, lambda at, rank: [huge.clone()], lr=1e-38, dtype=torch.float32)
    team.turns([0, 1])
    assert torch.equal(team.x[0], torch.ones(N))
    assert team.views[1].outcome.refused == N
    assert not team.waiting


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("k-sync", {"k": 4}, "k is 4 but there are 3 workers: use a k of at most 3"),
        ("k-batch-async", {"k": -1}, "an integer >= 0"),
        ("softsync", {"softsync_n": 4}, "softsync_n is 4 but there are 3 workers"),
        ("softsync", {"softsync_n": 0}, "an integer >= 1"),
        ("softsync", {"access": "racing"}, "use --access locked"),
    ],
)
def test_invalid_options_are_refused_in_one_line(name: str, options: dict[str, object], message: str):
    from hogwild.config import Config

    with pytest.raises(UsageError, match=message):
        Config.from_values({"algorithm": name, "workers": 3, "access": "locked", **options})


@pytest.mark.parametrize(
    ("name", "options", "models"),
    [
        ("k-batch-async", {"k": 2}, (2, 2, 2)),
        ("k-batch-sync", {"k": 2}, (1, 2, 1)),  # the second one makes the update; the third one is too late for it
        ("ringleader", {}, (1, 1, 2)),  # the third one fills the table, makes a step, and reads its result
    ],
)
def test_gradients_that_are_gathered_and_models_that_are_read_are_moved(
    name: str, options: dict[str, object], models: tuple[int, ...]
):
    one = Team(make(name, **options), Point(START), 3, gradient, lr=0.1)
    for view in one.views:
        view.buffers.traffic.take()
    for rank in range(3):
        one.turn(rank)
    moved = [view.buffers.traffic.take().moved_bytes for view in one.views]
    assert moved == [count * 8 * one.buffer("x").numel() for count in models]
