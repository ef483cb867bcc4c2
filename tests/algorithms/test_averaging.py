"""Local SGD and its outer optimizers, Lookahead, the tree: each against its equations, written with matrices."""

from __future__ import annotations

import pytest
import torch
from harness import Point, Team, make

from hogwild.algorithms import REGISTRY
from hogwild.algorithms.elastic.easgd_tree import tree_path

N, SIZE, LR = 4, 33, 0.05


def quadratics(workers: int = N) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Curvatures and optima [workers, SIZE], and a start [SIZE]."""
    generator = torch.Generator().manual_seed(8)
    curvature = 0.5 + torch.rand(workers, SIZE, generator=generator, dtype=torch.float64)
    optimum = torch.randn(workers, SIZE, generator=generator, dtype=torch.float64)
    return curvature, optimum, torch.randn(SIZE, generator=generator, dtype=torch.float64)


def team(name: str, workers: int = N, **options: object) -> Team:
    curvature, optimum, start = quadratics(workers)
    return Team(
        make(name, **options), Point(start), workers,
        lambda at, rank: [curvature[rank] * (at[:SIZE] - optimum[rank])], LR,
    )  # fmt: skip


def flat(one: Team, name: str) -> torch.Tensor:
    return one.buffer(name)[:SIZE]


def stacked(one: Team, name: str = "replica") -> torch.Tensor:
    return torch.stack([one.buffer(name, rank)[:SIZE] for rank in range(len(one.views))])


def local_steps(x: torch.Tensor, v: torch.Tensor, steps: int, momentum: float) -> tuple[torch.Tensor, torch.Tensor]:
    curvature, optimum, _ = quadratics()
    for _ in range(steps):
        v = momentum * v + curvature * (x - optimum)
        x = x - LR * v
    return x, v


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_local_sgd(momentum: float):
    one = team("local-sgd", period=3, momentum=momentum)
    c, v = quadratics()[2], torch.zeros(N, SIZE, dtype=torch.float64)
    for _ in range(5):
        for _ in range(3):
            one.round()
        x, v = local_steps(c.expand(N, SIZE), v, 3, momentum)
        c = x.mean(0)
        torch.testing.assert_close(flat(one, "x"), c, rtol=1e-12, atol=1e-13)
        torch.testing.assert_close(stacked(one), c.expand(N, SIZE), rtol=1e-12, atol=1e-13)


def test_post_local_sgd_averages_every_step_at_first():
    one, every = team("local-sgd", period=4, local_from=5), team("ssgd")
    for step in range(12):
        one.round()
        every.round()
        spread = float((stacked(one) - stacked(one).mean(0)).abs().max())
        if step + 1 <= 5:
            torch.testing.assert_close(flat(one, "x"), flat(every, "x"), rtol=1e-12, atol=1e-13)
        assert (spread < 1e-15) == (step + 1 <= 5 or (step + 1) % 4 == 0)


@pytest.mark.parametrize(("name", "nesterov"), [("slowmo", False), ("diloco", True)])
def test_outer_momentum(name: str, nesterov: bool):
    one = team(name, period=2, momentum=0.0, outer_momentum=0.6, outer_lr=0.7)
    c, u = quadratics()[2], torch.zeros(SIZE, dtype=torch.float64)
    for _ in range(6):
        for _ in range(2):
            one.round()
        x, _ = local_steps(c.expand(N, SIZE), torch.zeros(N, SIZE, dtype=torch.float64), 2, 0.0)
        delta = c - x.mean(0)
        u = 0.6 * u + delta
        c = c - 0.7 * (delta + 0.6 * u if nesterov else u)
        torch.testing.assert_close(flat(one, "x"), c, rtol=1e-12, atol=1e-13)


def test_slowmo_without_momentum_is_local_sgd():
    one, other = team("slowmo", period=3, outer_momentum=0.0), team("local-sgd", period=3)
    for _ in range(12):
        one.round()
        other.round()
    torch.testing.assert_close(flat(one, "x"), flat(other, "x"), rtol=1e-12, atol=1e-13)


def test_delayed_nesterov():
    """Period 1 and workers in turn: every turn is a push, every third of them uses the momentum."""
    one = team("async-diloco", period=1, momentum=0.0, outer_every=3, outer_momentum=0.6, outer_lr=0.7)
    curvature, optimum, start = quadratics()
    x = start.expand(N, SIZE).clone()
    center, u, c = start.clone(), torch.zeros(SIZE, dtype=torch.float64), torch.zeros(SIZE, dtype=torch.float64)
    for push in range(1, 20):
        rank = (push - 1) % N
        one.turn(rank)
        delta = LR * curvature[rank] * (x[rank] - optimum[rank])
        c = c + delta
        step = delta / 3
        if push % 3 == 0:
            u, c = 0.6 * u + c / 3, torch.zeros_like(c)
            step = step + 0.6 * u
        center = center - 0.7 * step
        x[rank] = center
        torch.testing.assert_close(flat(one, "x"), center, rtol=1e-12, atol=1e-13)


def test_the_average_of_all_centers_with_a_worker_that_starts_late():
    """Starting, late or again, is no exchange: the result is the plain mean of the first center and all others."""
    one = team("adownpour", workers=2, period=2)
    centers = [flat(one, "x")]
    for turn, rank in enumerate([0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 1, 1, 0, 1]):
        if turn in (6, 7, 10):  # worker 0 again, right after its exchange; worker 1 at last; both in the midst
            for begun in ([0], [1], [0, 1])[(6, 7, 10).index(turn)]:
                one.steps[begun] = one.algorithm.worker(one.views[begun])
                one._ask(begun, next(one.steps[begun]))
        one.turn(rank)
        if one.views[rank].steps % 2 == 0:
            centers.append(flat(one, "x"))
        torch.testing.assert_close(flat(one, "average"), torch.stack(centers).mean(0), rtol=1e-12, atol=1e-13)
    assert len(centers) == 8
    assert float((centers[-1] - centers[0]).abs().max()) > 0.1


@pytest.mark.parametrize("period", [1, 3])
@pytest.mark.parametrize("name", ["easgd", "easgd-sync"])
def test_the_mean_of_all_values_of_an_elastic_center(name: str, period: int):
    one = team(name, period=period, evaluate="average", average_rate=0.0)
    centers = [flat(one, "x")]
    for turn in range(7 if name == "easgd-sync" else 7 * N):
        one.round() if name == "easgd-sync" else one.turn(turn % N)
        if (turn if name == "easgd-sync" else turn // N) % period == 0:
            centers.append(flat(one, "x"))
        torch.testing.assert_close(flat(one, "average"), torch.stack(centers).mean(0), rtol=1e-12, atol=1e-13)


def test_lookahead_of_one_worker():
    one = team("lookahead", workers=1, period=5, slow_rate=0.3)
    curvature, optimum, slow = quadratics(1)
    fast = slow
    for step in range(1, 31):
        one.turn(0)
        fast = fast - LR * curvature[0] * (fast - optimum[0])
        if step % 5 == 0:
            fast = slow = slow + 0.3 * (fast - slow)
        torch.testing.assert_close(flat(one, "x"), slow, rtol=1e-12, atol=1e-13)


def test_post_order_exchanges_after_the_last_step_of_a_period():
    one = team("easgd", workers=1, period=3, alpha=0.25, exchange="post")
    curvature, optimum, center = quadratics(1)
    x = center
    for step in range(1, 13):
        one.turn(0)
        x = x - LR * curvature[0] * (x - optimum[0])
        if step % 3 == 0:
            d = 0.25 * (x - center)
            x, center = x - d, center + d
        torch.testing.assert_close(flat(one, "x"), center, rtol=1e-12, atol=1e-13)
        torch.testing.assert_close(stacked(one)[0], x, rtol=1e-12, atol=1e-13)


def test_the_tree():
    assert tree_path(5, 8, 2) == [(("node", 2), 4), (("node", 5), 4), ("x", 0)]
    assert tree_path(3, 4, 4) == [("x", 0)]
    assert tree_path(0, 1, 2) == [("x", 0)]
    assert tree_path(6, 7, 3) == [(("node", 2), 6), ("x", 0)]


def test_a_tree_keeps_the_sum_of_all_nodes_but_for_the_gradients():
    workers = 7
    one = team("easgd-tree", workers=workers, degree=2, period=2, period_up=4)
    curvature, optimum, start = quadratics(workers)
    inner = {place for rank in range(workers) for place, _ in tree_path(rank, workers, 2)}
    assert len(inner) == 7  # 4 + 2 + the root
    total = (workers + len(inner)) * start
    for turn in range(300):
        rank = turn * 5 % workers
        total = total - LR * curvature[rank] * (stacked(one)[rank] - optimum[rank])
        one.turn(rank)
    nodes = [flat(one, "x") if place == "x" else one.buffer(*place)[:SIZE] for place in inner]
    torch.testing.assert_close(stacked(one).sum(0) + sum(nodes), total, rtol=1e-12, atol=1e-12)
    assert float((flat(one, "x") - start).abs().max()) > 0.1


@pytest.mark.parametrize("workers", [3, 8])
def test_exchanges_keep_the_sum_but_for_the_gradients(workers: int):
    one = team("easgd", workers=workers, period=1)
    curvature, optimum, start = quadratics(workers)
    total = (workers + 1) * start
    for turn in range(200):
        rank = turn * 3 % workers
        total = total - LR * curvature[rank] * (stacked(one)[rank] - optimum[rank])
        one.turn(rank)
    torch.testing.assert_close(stacked(one).sum(0) + flat(one, "x"), total, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", sorted(name for name, cls in REGISTRY.items() if "period" in cls.options()))
def test_a_run_that_ends_before_the_first_exchange_says_so(name: str):
    cls = REGISTRY[name]
    algorithm = cls(period=20)
    said = algorithm.remark([3, 19])
    assert (said is None) is (algorithm.result() == "replica"), "the mean of the replicas has all steps"
    assert said is None or "every 20 own steps, and none made more than 19" in said
    assert algorithm.remark([3, 20]) is None
    assert algorithm.remark([0, 0]) is None
