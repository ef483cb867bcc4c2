"""The defining properties of each decentralized algorithm: conserved quantities, limits, equalities."""

from __future__ import annotations

import random

import pytest
import torch
from harness import Point, Team, make

from hogwild.errors import UsageError
from hogwild.rules import Topology
from hogwild.shared.seeds import draw
from hogwild.topology import check

N, SIZE = 5, 37
ROUNDS_ONLY = ("d-psgd", "d2", "gradient-tracking", "qg-dsgdm")


def heterogeneous(workers: int = N) -> tuple[torch.Tensor, torch.Tensor]:
    """Curvatures and optima [workers, SIZE] of F_i(x) = sum_k a_ik (x_k - b_ik)^2 / 2."""
    generator = torch.Generator().manual_seed(5)
    curvature = 0.5 + torch.rand(workers, SIZE, generator=generator, dtype=torch.float64)
    return curvature, torch.randn(workers, SIZE, generator=generator, dtype=torch.float64)


def team(name: str, lr: float, workers: int = N, **options: object) -> tuple[Team, torch.Tensor]:
    """Workers with different quadratics, and the optimum of their mean."""
    curvature, optimum = heterogeneous(workers)
    start = torch.randn(SIZE, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    one = Team(
        make(name, **options), Point(start), workers,
        lambda at, rank: [curvature[rank] * (at[:SIZE] - optimum[rank])], lr,
    )  # fmt: skip
    return one, (curvature * optimum).sum(0) / curvature.sum(0)


def scatter(one: Team) -> torch.Tensor:
    """Sets the replicas to random values; returns them [workers, SIZE]."""
    generator = torch.Generator().manual_seed(7)
    rows = torch.randn(len(one.views), SIZE, generator=generator, dtype=torch.float64)
    for view, row in zip(one.views, rows, strict=True):
        view.replica[:SIZE] = row
        if view.buffers.has_snapshot:
            view.pull(of="replica")
    return rows


def stacked(one: Team, name: str = "replica") -> torch.Tensor:
    return torch.stack([one.buffer(name, rank)[:SIZE] for rank in range(len(one.views))])


@pytest.mark.parametrize("name", ROUNDS_ONLY)
def test_the_mean_moves_by_the_mean_gradient(name: str):
    options = {"momentum": 0.0} if name == "qg-dsgdm" else {}
    one, _ = team(name, 0.05, **options)
    curvature, optimum = heterogeneous()
    for _ in range(20):
        before = stacked(one)
        gradient = (curvature * (before - optimum)).mean(0)
        one.round()
        torch.testing.assert_close(stacked(one).mean(0), before.mean(0) - 0.05 * gradient, rtol=1e-12, atol=1e-13)


def test_d2_finds_the_common_optimum_and_d_psgd_a_biased_one():
    errors = {}
    for name, options in (("d2", {"weights": "uniform"}), ("d-psgd", {}), ("gradient-tracking", {})):
        one, optimum = team(name, 0.1, **options)
        for _ in range(300 if name == "d-psgd" else 3000):
            one.round()
            errors[name] = float((stacked(one) - optimum).abs().max())
            if errors[name] < 1e-10:
                break
    assert errors["d2"] < 1e-10
    assert errors["gradient-tracking"] < 1e-10
    assert errors["d-psgd"] > 1e-2


def test_the_corrections_of_d2_sum_to_zero_and_survive_a_lower_lr():
    one, optimum = team("d2", 0.1)
    for round_ in range(2000):
        for view in one.views:
            view.lr = 0.1 if round_ < 1000 else 0.05
        one.round()
        if round_ % 500 == 0:
            assert float(stacked(one, "correction").sum(0).abs().max()) < 1e-12
    assert float((stacked(one) - optimum).abs().max()) < 1e-9


@pytest.mark.slow
def test_d2_in_float32_keeps_the_mean():
    """10,000 rounds with zero gradients: the replicas agree, and their mean has not changed."""
    one = Team(
        make("d2"), Point(torch.zeros(SIZE)), 8, lambda at, rank: [torch.full((SIZE,), 1e-30)], 1e-8,
        dtype=torch.float32,
    )  # fmt: skip
    mean = scatter(one).mean(0)
    for _ in range(10_000):
        one.round()
    found = stacked(one).double()
    assert float((found - found.mean(0)).abs().max()) < 1e-5
    assert float((found.mean(0) - mean).square().mean().sqrt()) < 3e-5  # 6e-5 without the recentring


def test_d2_refuses_a_graph_it_is_not_stable_on():
    with pytest.raises(UsageError, match=r"eigenvalue -0\.333333.*--weights lazy"):
        check(Topology("ring", "uniform"), 8, above=-1 / 3)
    check(Topology("ring", "lazy"), 8, above=-1 / 3)
    check(Topology("ring", "uniform"), 5, above=-1 / 3)
    with pytest.raises(UsageError, match="changes from round to round"):
        check(Topology("one-peer-exponential"), 8, above=-1 / 3)


def test_on_a_complete_graph_adapt_then_combine_is_all_reduce():
    one, _ = team("d-psgd", 0.1, topology="complete", combine="last")
    curvature, optimum = heterogeneous()
    x = one.buffer("x")[:SIZE]
    for _ in range(30):
        one.round()
        x = x - 0.1 * (curvature * (x - optimum)).mean(0)
        for row in stacked(one):
            torch.testing.assert_close(row, x, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("combine", ["first", "last"])
def test_d_psgd_is_its_two_lines(combine: str):
    """W of a ring of five with weights 1/3, and momentum 0.9 that is averaged too, against matrices."""
    one, _ = team("d-psgd", 0.02, combine=combine, momentum=0.9, average_momentum=True)
    curvature, optimum = heterogeneous()
    eye = torch.eye(N, dtype=torch.float64)
    w = (eye + eye.roll(1, 0) + eye.roll(-1, 0)) / 3
    x, v = stacked(one), torch.zeros(N, SIZE, dtype=torch.float64)
    for _ in range(25):
        one.round()
        g = curvature * (x - optimum)
        if combine == "first":
            v = 0.9 * (w @ v) + g
            x = w @ x - 0.02 * v
        else:
            v = 0.9 * v + g
            x, v = w @ (x - 0.02 * v), w @ v
        torch.testing.assert_close(stacked(one), x, rtol=1e-11, atol=1e-12)


def test_quasi_global_momentum_is_its_three_lines():
    one, _ = team("qg-dsgdm", 0.02)
    curvature, optimum = heterogeneous()
    eye = torch.eye(N, dtype=torch.float64)
    w = (eye + eye.roll(1, 0) + eye.roll(-1, 0)) / 3
    x, q = stacked(one), torch.zeros(N, SIZE, dtype=torch.float64)
    for _ in range(25):
        one.round()
        after = w @ (x - 0.02 * (curvature * (x - optimum) + 0.9 * q))
        q = 0.9 * q + 0.1 * (x - after) / 0.02
        x = after
        torch.testing.assert_close(stacked(one), x, rtol=1e-11, atol=1e-12)


def test_quasi_global_momentum_learns_nothing_from_rounds_with_lr_0():
    one, _ = team("qg-dsgdm", 0.02)
    for _ in range(3):
        one.round()
    replicas, q = stacked(one), stacked(one, "q")
    for view in one.views:
        view.lr = 0.0
    one.round()
    eye = torch.eye(N, dtype=torch.float64)
    w = (eye + eye.roll(1, 0) + eye.roll(-1, 0)) / 3
    assert torch.equal(stacked(one, "q"), q)
    torch.testing.assert_close(stacked(one), w @ replicas, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("pairing", ["skip", "blocking", "bipartite"])
def test_random_pairs_keep_the_sum_and_reach_consensus(pairing: str):
    topology = "bipartite" if pairing == "bipartite" else "complete"
    one = Team(
        make("ad-psgd", pairing=pairing, topology=topology), Point(torch.zeros(SIZE, dtype=torch.float64)), 4,
        lambda at, rank: [torch.full((SIZE,), 1e-30, dtype=torch.float64)], 1e-8,
    )  # fmt: skip
    total = scatter(one).sum(0)
    choice = random.Random(1)
    for _ in range(400):
        one.turn(choice.randrange(4))
    found = stacked(one)
    torch.testing.assert_close(found.sum(0), total, rtol=0, atol=1e-13)
    assert float((found - found.mean(0)).abs().max()) < 1e-9


def test_random_pairs_contract_as_their_spectrum_says():
    """E ||X - mean||^2 falls by lambda_2 = 0.857143 per average on a complete graph of eight."""
    ratios = []
    for seed in range(60):
        one = Team(
            make("ad-psgd"), Point(torch.zeros(SIZE, dtype=torch.float64)), 8,
            lambda at, rank: [torch.full((SIZE,), 1e-30, dtype=torch.float64)], 1e-8,
        )  # fmt: skip
        scatter(one)
        choice = random.Random(seed)
        for view in one.views:
            view.seed = seed
        before = stacked(one)
        for _ in range(10):
            one.turn(choice.randrange(8))
        after = stacked(one)
        ratios.append(float((after - after.mean(0)).square().sum() / (before - before.mean(0)).square().sum()))
    assert (sum(ratios) / len(ratios)) ** 0.1 == pytest.approx(0.857143, rel=0.02)


def test_ad_psgd_applies_a_stale_gradient_to_the_averaged_replica():
    one, _ = team("ad-psgd", 0.1, workers=2)
    rows = scatter(one)
    curvature, optimum = heterogeneous(2)
    one.answers = [[curvature[rank] * (rows[rank] - optimum[rank])] for rank in range(2)]
    gradients = [answer[0].clone() for answer in one.answers]
    one.turns([0, 1])
    mean = rows.mean(0)
    first = mean - 0.1 * gradients[0]  # worker 1's replica is at the mean too; its gradient is older
    second = (first + mean) / 2
    torch.testing.assert_close(one.buffer("replica", 0)[:SIZE], second, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(one.buffer("replica", 1)[:SIZE], second - 0.1 * gradients[1], rtol=1e-12, atol=1e-13)


def test_push_sum_conserves_and_follows_the_mean_though_one_is_slow():
    one = Team(
        make("sgp"), Point(torch.zeros(SIZE, dtype=torch.float64)), 4,
        lambda at, rank: [torch.full((SIZE,), 1e-30, dtype=torch.float64)], 1e-8,
    )  # fmt: skip
    total = scatter(one).sum(0)
    choice = random.Random(3)
    for _ in range(4000):
        one.turn(choice.choice([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3]))
    held = stacked(one).sum(0) + stacked(one, "box").sum(0)
    mass = torch.stack([one.buffer("mass", rank) for rank in range(4)])
    torch.testing.assert_close(held, total, rtol=0, atol=1e-12)
    assert float(mass.sum()) == pytest.approx(4.0, abs=1e-12)
    assert float(mass[:, 0].min()) >= 1 / 32
    assert float((stacked(one, "z") - total / 4).abs().max()) < 0.02


def test_consistent_asysg_is_k_batch_async_with_a_sum():
    runs = []
    for name, lr, options in (("asysg-con", 0.01, {"gradients": 3}), ("k-batch-async", 0.03, {"k": 3})):
        one, _ = team(name, lr, **options)
        one.turns(random.Random(2).choices(range(N), k=60))
        runs.append(one.x[0].clone())
    assert torch.equal(*runs)


@pytest.mark.parametrize("coords", ["one", "block"])
def test_coordinate_updates_equal_serial_coordinate_descent(coords: str):
    size = 1 if coords == "one" else 16
    one, _ = team("asysg-incon", 0.1, workers=1, coords=coords)
    curvature, optimum = heterogeneous(1)
    x = one.buffer("x")[:SIZE].clone()
    for step in range(300):
        one.turn(0)
        begin = draw(0, 0, step, SIZE) // size * size
        part = slice(begin, min(begin + size, SIZE))
        x[part] -= 0.1 * (curvature[0] * (x - optimum[0]))[part]
    torch.testing.assert_close(one.buffer("x")[:SIZE], x, rtol=1e-12, atol=1e-13)
    assert float((x - optimum[0]).abs().max()) < (2.5 if coords == "one" else 0.1)
