"""The elastic family on a small problem, step by step against numbers computed from the papers' pseudo-code.

F_i(x) = (x - b_i)^2 / 2, b = (1, 2, 4), all states 0 at first, lr 0.1, alpha 0.3, momentum 0.9; workers in turn.
"""

from __future__ import annotations

import pytest
import torch
from harness import Point, Team, make

WORKERS, LR = 3, 0.1
B = (1.0, 2.0, 4.0)


def team(name: str, *, start: float = 0.0, lr: float = LR, **options: object) -> Team:
    def gradient(at: torch.Tensor, rank: int) -> list[torch.Tensor]:
        return [at[:1] - B[rank]]

    return Team(make(name, **options), Point(torch.tensor([start], dtype=torch.float64)), WORKERS, gradient, lr)


def run(name: str, ticks: int, **options: object) -> Team:
    one = team(name, **options)
    one.turns(tick % WORKERS for tick in range(ticks))
    return one


def values(one: Team, name: str) -> list[float]:
    scope = one.algorithm.keeps()[name].scope
    return [float(one.buffer(name, rank)[0]) for rank in range(1 if scope.value == "shared" else WORKERS)]


@pytest.mark.parametrize(
    ("period", "ticks", "replicas", "center"),
    [
        (1, 12, [0.355158430000, 0.565781801000, 1.026454890700], 0.5110586883),
        (1, 60, [1.542318300074, 1.725778940922, 2.221116157032], 1.848477521043),
        (2, 12, [0.292600000000, 0.600590000000, 1.211953000000], 0.33573),
        (2, 60, [1.330630404715, 1.663187473157, 2.491827502972], 1.834186257948),
    ],
)
def test_easgd(period: int, ticks: int, replicas: list[float], center: float):
    one = run("easgd", ticks, alpha=0.3, period=period)
    assert values(one, "replica") == pytest.approx(replicas, abs=1e-12)
    assert values(one, "x") == pytest.approx([center], abs=1e-12)


@pytest.mark.parametrize(
    ("ticks", "replicas", "center"),
    [
        (12, [0.632241100000, 1.286433200000, 2.588232100000], 0.478857),
        (60, [1.244544070973, 1.975548745442, 3.568182325838], 2.702408773668),
    ],
)
def test_eamsgd(ticks: int, replicas: list[float], center: float):
    one = run("eamsgd", ticks, alpha=0.3, period=2, momentum=0.9)
    behind = [y + LR * 0.9 * v for y, v in zip(values(one, "replica"), values(one, "v"), strict=True)]
    assert behind == pytest.approx(replicas, abs=1e-12)
    assert values(one, "x") == pytest.approx([center], abs=1e-12)


@pytest.mark.parametrize(
    ("period", "ticks", "center"),
    [(1, 12, 1.686), (1, 60, 2.428218154575), (2, 12, 1.33), (2, 60, 2.507783500756)],
)
def test_downpour(period: int, ticks: int, center: float):
    """The pseudo-code delivers at the start of a tick. A worker here delivers as early as possible, at the end of the
    previous tick, so its first delivery comes a round earlier.
    """
    one = run("downpour", ticks - WORKERS, period=period)
    assert values(one, "x") == pytest.approx([center], abs=1e-12)


@pytest.mark.parametrize(
    ("ticks", "replicas", "center"),
    [
        (12, [0.511939816107, 0.622776724139, 0.892565182874], 0.665497258121),
        (60, [1.929367145355, 1.937472213043, 1.947574747806], 1.924762589896),
    ],
)
def test_admm(ticks: int, replicas: list[float], center: float):
    one = run("admm", ticks, rho=2.5)
    assert values(one, "replica") == pytest.approx(replicas, abs=1e-12)
    assert values(one, "x") == pytest.approx([center], abs=1e-12)


@pytest.mark.parametrize(
    ("form", "ticks", "x", "v"),
    [
        ("m2", 12, 3.031314036405, -0.010770012187),
        ("m2", 60, 2.486616795595, 0.115766624666),
        ("m1", 12, 3.570500991723, -0.059107663746),
        ("m1", 60, 2.301212333254, 0.086160694859),
    ],
)
def test_mdownpour_without_staleness(form: str, ticks: int, x: float, v: float):
    """One worker, the three losses in turn; the paper's velocity is -lr v."""
    losses = iter(B * (ticks // len(B) + 1))
    one = Team(
        make("mdownpour", form=form, momentum=0.9), Point(torch.zeros(1, dtype=torch.float64)), 1,
        lambda at, rank: [at[:1] - next(losses)], LR,
    )  # fmt: skip
    one.turns([0] * ticks)
    assert float(one.buffer("x")[0]) == pytest.approx(x, abs=1e-12)
    assert -LR * float(one.buffer("v")[0]) == pytest.approx(v, abs=1e-12)


@pytest.mark.parametrize(
    ("form", "rounds", "replicas", "center"),
    [
        ("jacobi", 4, [0.3625, 0.5801, 1.0153], 0.504),
        ("jacobi", 20, [1.503487147247, 1.753478006851, 2.253459726059], 1.79273651612),
        ("gauss-seidel", 20, None, 2.023735324773),
    ],
)
def test_synchronous_easgd(form: str, rounds: int, replicas: list[float] | None, center: float):
    one = team("easgd-sync", alpha=0.3, form=form)
    for _ in range(rounds):
        one.round()
    assert values(one, "x") == pytest.approx([center], abs=1e-12)
    if replicas:
        assert values(one, "replica") == pytest.approx(replicas, abs=1e-12)


def test_the_fixed_point_of_easgd():
    """x* = mean b, x_i* = (b_i + rho x*) / (1 + rho), rho = alpha / lr, in synchronous rounds."""
    one = team("easgd-sync", alpha=0.3)
    for _ in range(2000):
        one.round()
    rho, mean = 0.3 / LR, sum(B) / 3
    assert values(one, "x") == pytest.approx([mean], abs=1e-9)
    assert values(one, "replica") == pytest.approx([(b + rho * mean) / (1 + rho) for b in B], abs=1e-9)


@pytest.mark.parametrize(
    ("tick", "center"), [(1, 999.667497922), (2, 999.445277082), (3, 999.29676041), (100, 967.598061348)]
)
def test_the_chaos_of_admm_begins_as_published(tick: int, center: float):
    one = Team(
        make("admm", rho=2.5), Point(torch.tensor([1000.0], dtype=torch.float64)), WORKERS,
        lambda at, rank: [at[:1].clone()], 1e-3,
    )  # fmt: skip
    one.turns(t % WORKERS for t in range(tick))
    assert values(one, "x") == pytest.approx([center], abs=1e-8)


@pytest.mark.slow
def test_where_admm_diverges_easgd_converges():
    """lr 0.001, rho 2.5, three workers: 50,000 ticks of both from 1000."""
    found = {}
    for name, options in (("admm", {"rho": 2.5}), ("easgd", {"alpha": 0.0025, "period": 1})):
        one = Team(
            make(name, **options), Point(torch.tensor([1000.0], dtype=torch.float64)), WORKERS,
            lambda at, rank: [at[:1].clone()], 1e-3,
        )  # fmt: skip
        for tick in range(50_000):
            one.turn(tick % WORKERS)
            if tick + 1 in (10_000, 30_000, 50_000):
                found[name, tick + 1] = values(one, "x")[0]
    assert found["admm", 10_000] == pytest.approx(35.5597163612, rel=1e-9)
    assert found["admm", 50_000] == pytest.approx(-408274.729031, rel=1e-6)
    assert found["easgd", 10_000] == pytest.approx(94.3149594646, rel=1e-9)
    assert found["easgd", 30_000] == pytest.approx(0.723620867828, rel=1e-9)


def test_moving_averages_of_the_center():
    """adownpour: the mean of all centers, the first one included; mvadownpour: z <- (1 - a) z + a x. One worker, in
    turn.
    """
    for name, options in (("adownpour", {}), ("mvadownpour", {"average_rate": 0.25})):
        one = team(name, period=1, **options)
        centers, z = [0.0], 0.0
        for tick in range(12):
            one.turn(tick % WORKERS)
            centers.append(values(one, "x")[0])
            z += 0.25 * (centers[-1] - z)
        expected = sum(centers) / len(centers) if name == "adownpour" else z
        assert values(one, "average") == pytest.approx([expected], abs=1e-12)
        assert one.x[0].item() == pytest.approx(expected, abs=1e-12)
