"""DANA, SMEGA2 and OrMo: the property of each under delay."""

from __future__ import annotations

import multiprocessing
import random

import pytest
import torch
from harness import Point, Team, make
from slow import rest_is_slow

from hogwild.algorithms import REGISTRY
from hogwild.drivers.view.worker_view import WorkerView
from hogwild.rules import Access, Dana
from hogwild.shared.world import World

N = 40


def gradient(at: torch.Tensor, rank: int) -> list[torch.Tensor]:
    return [torch.sin(at[:N] * (1 + 0.1 * rank)) + 0.2 * at[:N]]


def start() -> Point:
    return Point(torch.linspace(-2, 2, N, dtype=torch.float64))


@pytest.mark.parametrize("workers", rest_is_slow([1, 2, 6], {6}))
def test_dana_zero_equals_dana_slim(workers: int):
    """Slim's x is Zero's look-ahead: the gradients are taken at the same points, for any order of the workers."""
    zero, slim = (Team(make(name), start(), workers, gradient, lr=0.02) for name in ("dana-zero", "dana-slim"))
    rng = random.Random(5)
    for _ in range(1000):
        rank = rng.randrange(workers)
        zero.turn(rank)
        slim.turn(rank)
        ahead = zero.views[rank].snapshot[:N]
        torch.testing.assert_close(ahead, slim.x[0], rtol=1e-12, atol=1e-12)


def test_one_worker_of_dana_is_nesterov():
    """v <- m v + g(y), y = x - lr m v the look-ahead;  y is the x of torch.optim.SGD(nesterov=True) and of Slim."""
    zero, slim = (Team(make(name), start(), 1, gradient, lr=0.05) for name in ("dana-zero", "dana-slim"))
    net = start()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, nesterov=True)
    x, v = start().x.detach(), torch.zeros(N, dtype=torch.float64)
    for _ in range(200):
        v = 0.9 * v + gradient(x - 0.05 * 0.9 * v, 0)[0]
        x = x - 0.05 * v
        [net.x.grad] = gradient(net.x.detach(), 0)
        optimizer.step()
        zero.turn(0)
        slim.turn(0)
    torch.testing.assert_close(zero.x[0], x, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(zero.views[0].snapshot[:N], net.x.detach(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(slim.x[0], net.x.detach(), rtol=1e-12, atol=1e-12)


def test_v_sum_is_the_sum_of_the_workers_momenta():
    team = Team(make("dana-zero"), start(), 4, gradient, lr=0.05)
    team.turns([turn * 7 % 4 for turn in range(500)])
    v_sum = team.views[0].buffer("v_sum")
    total = sum(view.buffer("v") for view in team.views)
    torch.testing.assert_close(v_sum, total, rtol=1e-12, atol=1e-12)


def push_noise(world: World, rank: int, pushes: int) -> None:
    torch.set_num_threads(1)
    view = WorkerView(world, rank, REGISTRY["dana-zero"].buffers, access=Access.ATOMIC)
    view.lr = 1e-3
    generator = torch.Generator().manual_seed(rank)
    world.control.join(rank, 0, 10.0)
    momentum = Dana(0.9)
    view.pull(momentum)
    shape = world.layout.shapes[0]
    for _ in range(pushes):
        g = torch.randint(-8, 9, shape, generator=generator).double()
        world.control.enter(rank, 60.0)
        view.push([g], momentum=momentum)
        world.control.exit(rank)
    world.control.leave(rank)


@pytest.mark.slow
def test_v_sum_survives_a_stress_of_real_processes_under_atomic():
    """An accumulator of differences never recovers from a lost update; under `atomic` no update is lost."""
    module = torch.nn.Linear(5000, 1, bias=False)
    workers = 3
    world = World.create(module, REGISTRY["dana-zero"].buffers, workers, dtype=torch.float64)
    context = multiprocessing.get_context("forkserver")
    processes = [context.Process(target=push_noise, args=(world, rank, 400)) for rank in range(workers)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    total = sum(world.arena.tensor("v", rank) for rank in range(workers))
    torch.testing.assert_close(world.arena.tensor("v_sum"), total, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("momentum", [0.5, 0.9])
@pytest.mark.parametrize("workers", [2, 4])
def test_ormo_equals_synchronous_momentum_once_all_have_arrived(workers: int, momentum: float):
    """Gradients that do not depend on x, in any possible order: after the last bucket x is that of synchronous SGD.

    Every worker pushes `rounds` times; the gradient of its k-th push belongs to the bucket in which it was requested.
    """
    rounds, lr = 30, 0.1
    generator = torch.Generator().manual_seed(2)
    table = torch.randn(workers * (rounds + 1), N, generator=generator, dtype=torch.float64)
    asked: list[tuple[int, int]] = []  # (version at the request, row), in the order of the requests
    team: Team | None = None

    def next_row(at: torch.Tensor, rank: int) -> list[torch.Tensor]:
        version = 0 if team is None else team.world.control.version
        asked.append((version, len(asked)))
        return [table[asked[-1][1]].clone()]

    team = Team(make("ormo", momentum=momentum), start(), workers, next_row, lr=lr)
    rng = random.Random(11)
    for _ in range(rounds):
        order = list(range(workers))
        rng.shuffle(order)
        team.turns(order)
    used = asked[: workers * rounds]

    x, u = torch.linspace(-2, 2, N, dtype=torch.float64), torch.zeros(N, dtype=torch.float64)
    last = (team.world.control.version - 1) // workers
    for bucket in range(last + 1):
        if bucket:
            x, u = x - momentum * u, momentum * u
        for version, row in used:
            if version // workers == bucket:
                u, x = u + lr * table[row], x - lr * table[row]
    torch.testing.assert_close(team.x[0], x, rtol=1e-10, atol=1e-10)


def test_dana_ga_does_not_penalise_while_s_is_zero():
    """The first push of each of three workers is that of DANA-Zero, though x has moved away from their snapshots; later
    pushes are penalised. An element whose gradients have all been zero has s = 0 still, and counts as having no gap.
    """
    zero_first = torch.ones(N, dtype=torch.float64)
    zero_first[7] = 0.0
    teams = [
        Team(make(name), start(), 3, lambda at, rank: [zero_first * gradient(at, rank)[0]], lr=0.05)
        for name in ("dana-ga", "dana-zero")
    ]
    for team in teams:
        team.turns([0, 1, 2])
        assert float((team.x[0] - start().x.detach())[:7].abs().min()) > 1e-3
    assert torch.equal(teams[0].x[0], teams[1].x[0])
    assert torch.equal(teams[0].buffer("s"), torch.zeros_like(teams[0].buffer("s")))
    zero_first[7] = 1.0
    for team in teams:
        team.turn(0)  # its gradient is from before element 7 had one
        team.turn(1)
    penalised = (teams[0].x[0] - teams[1].x[0]).abs() > 1e-6
    assert bool(penalised[:7].all())
    assert not penalised[7]


def test_dc_asgd_corrects_towards_the_gradient_at_the_master():
    """For f = a x^2 / 2 with g = a x and lam g^2 the correction has the sign of a (x - snapshot)."""
    curvature = torch.linspace(0.5, 2.0, N, dtype=torch.float64)
    options = {"dc_adaptive": False, "dc_lambda": 0.5}
    team = Team(make("dc-asgd", **options), start(), 3, lambda at, rank: [curvature * at[:N]], lr=0.1)
    team.turns([0, 1])
    x, g, snapshot = team.x[0], team.answers[2][0], team.views[2].snapshot[:N].clone()
    team.turn(2)
    expected = x - 0.1 * (g + 0.5 * g * g * (x - snapshot))
    torch.testing.assert_close(team.x[0], expected, rtol=1e-13, atol=1e-14)


def test_clipping_bounds_the_step():
    team = Team(make("clipped"), start(), 1, lambda at, rank: [10 * at[:N]], lr=1.0, clip=0.5)
    before = team.x[0]
    team.turn(0)
    assert (team.x[0] - before).norm().item() == pytest.approx(0.5, rel=1e-12)
