"""Traces of algorithms of 2022 to 2026 on problem_t.py, beside those for workers with different data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import torch
from harness import Point, Team, make
from oracles import FOUR, LR, THREE, near
from problem_t import team

from hogwild.algorithms.elastic.slots import slot_of_next
from hogwild.config import Config
from hogwild.drivers.view import neighbours
from hogwild.errors import UsageError
from hogwild.rules import Topology
from hogwild.theory import stability
from hogwild.topology.matrices import Mixing


def alone(name: str, steps: tuple[int, ...], workers: int = 1, **options: object) -> list[Team]:
    """A run on (x - 1)^2 / 2 with lr 0.1, workers in turn, after each of these numbers of steps."""
    one = Team(
        make(name, **options), Point(torch.zeros(1, dtype=torch.float64)), workers, lambda at, _: [at[:1] - 1.0], 0.1
    )
    seen = []
    for step in range(max(steps)):
        one.turn(step % workers)
        if step + 1 in steps:
            seen.append(one)
            yield one


def test_snoo():
    runs = alone("lookahead", (8, 20, 40), period=4, slow_rate=0.8, outer_momentum=0.5)
    assert [float(one.buffer("x")[0]) for one in runs] == near(0.7238352176, 1.037171405849, 1.002700180923)


def test_gpa():
    for one in alone("gpa", (20,)):
        x, v = float(one.buffer("x")[0]), float(one.buffer("v")[0])
        assert [x, x - v] == near(0.819409750944, 1.152352258665)


def test_a_look_ahead_of_one_without_momentum():
    """Two workers in turn: a constant delay of 1."""
    runs = alone("nag-asgd", (4, 10, 40), workers=2, momentum=0.0, ahead=1.0)
    assert [float(one.buffer("x")[0]) for one in runs] == near(0.42, 0.68992, 0.986318423860)


def test_async_nag():
    """It is nag-asgd, dampened by lr, with x + lr m v for its model. Four workers in turn: a constant delay of 3."""
    m, lr, start = 0.9, 0.1, Point(torch.zeros(1, dtype=torch.float64))
    one = Team(make("nag-asgd", momentum=m), start, 4, lambda at, _: [at[:1] - 1.0], (1 - m) * lr)
    seen = {}
    for step in range(40):
        one.turn(step % 4)
        seen[step + 1] = float(one.buffer("x")[0] + one.views[0].lr * m * one.buffer("v")[0])
    assert [seen[number] for number in (4, 10, 40)] == near(0.09049, 0.399591844490, 1.202762368492)


@pytest.mark.parametrize(
    ("activation", "expected"),
    [(0.0, (-1.05, -3.325, -8.0675, -8.5925)), (0.25, (-1.05, -2.14375, -5.823125, -7.844375))],
)
def test_delayed_nesterov(activation: float, expected: tuple[float, ...]):
    """Deltas 1 2 3 4 1 2 3 4 1 2 of one worker, with periods of one step."""
    deltas = iter([1.0, 2.0, 3.0, 4.0, 1.0, 2.0, 3.0, 4.0, 1.0, 2.0, 0.0])
    one = Team(
        make("async-diloco", period=1, momentum=0.0, outer_every=4, outer_lr=0.7, activation=activation),
        Point(torch.zeros(1, dtype=torch.float64)),
        1,
        lambda at, _: [torch.full_like(at[:1], next(deltas))],
        lr=1.0,
    )
    seen = []
    for _ in range(10):
        one.turn(0)
        seen.append(float(one.buffer("x")[0]))
    assert [seen[number - 1] for number in (3, 4, 8, 10)] == near(*expected)


def rounds(name: str, optima: Sequence[float] = THREE, **options: object) -> Iterator[Team]:
    """A synchronous algorithm after 1, 2, ... steps of every worker."""
    one = team(name, optima, **options)
    while True:
        one.round()
        yield one


def replicas(one: Team, name: str = "replica") -> list[float]:
    return [float(one.buffer(name, rank)[0]) for rank in range(len(one.views))]


def test_noloco(monkeypatch):
    """Pairs (01)(23), then (02)(13), then (03)(12)."""
    identity = np.eye(4)
    pairs = tuple((identity + identity[order]) / 2 for order in ([1, 0, 3, 2], [2, 3, 0, 1], [3, 2, 1, 0]))
    monkeypatch.setattr(neighbours, "mixing", lambda *_: Mixing("three", pairs))
    expected = {
        4: (0.798133, 0.931133, 1.276933, 1.409933),
        12: (4.418627877099, 4.493509005099, 4.374281899899, 4.449163027899),
    }
    for step, one in zip(range(1, 13), rounds("noloco", FOUR, period=2, momentum=0.0), strict=False):
        if step in expected:
            assert replicas(one, "phi") == near(*expected[step])


def test_overlap_sgd():
    for m, at, z, x in (
        (0.0, 4, 0.341189333333, (0.207024, 0.307648, 0.508896)),
        (0.0, 12, 0.881192918229, None),
        (0.7, 12, 1.423877037841, (1.122905439618, 1.235201417155, 1.459793372229)),
    ):
        one = team("overlap-sgd", period=2, alpha=0.6, outer_momentum=m)
        for _ in range(at):
            one.round()
        assert [sum(replicas(one, slot_of_next(one.views[0]))) / 3] == near(z), "begun, for the next period"
        if x is not None:
            assert replicas(one) == near(*x)


def two_fragments(at: torch.Tensor, rank: int) -> list[torch.Tensor]:
    """Of 32 elements each, which are alike; the second one's optima are (-1, 0, 3)."""
    second = (-1.0, 0.0, 3.0)
    return [at[:64] - torch.tensor([THREE[rank]] * 32 + [second[rank]] * 32, dtype=torch.float64)]


def test_streaming_diloco():
    options = {"period": 4, "fragments": 2, "overlap": 1, "alpha": 0.5, "momentum": 0.0}
    one = Team(make("streaming-diloco", **options), Point(torch.zeros(64, dtype=torch.float64)), 3, two_fragments, LR)
    for step in range(1, 41):
        one.round()
        x = one.buffer("x")
        if step == 12:
            assert x[[0, 32]].tolist() == near(1.924398588338, 0.616569376716)
            found = [one.buffer("replica", rank)[[0, 32]].tolist() for rank in range(3)]
            assert found[0] == near(1.274375633779, 0.029821231271)
            assert found[1] == near(1.719694024659, 0.348467478086)
            assert found[2] == near(2.610330806418, 1.304406218531)
    assert x[[0, 32]].tolist() == near(2.337114835567, 0.664660231017)
    assert all(float(half.std()) == 0 for half in (x[:32], x[32:64])), "no element of a fragment is left out"


def test_diloco():
    start = Point(torch.zeros(64, dtype=torch.float64))
    one = Team(make("diloco", period=4, momentum=0.0), start, 3, two_fragments, LR)
    for _ in range(12):
        one.round()
    assert one.buffer("x")[[0, 32]].tolist() == near(2.863795357050, 0.818227244871)


def test_relaysgd():
    expected = {
        1: (0.1, 0.233333333333, 0.2),
        2: (0.333333333333, 0.393333333333, 0.363333333333),
        12: (1.486267312862, 1.510980505931, 1.486293077909),
    }
    for step, one in zip(range(1, 13), rounds("relaysgd"), strict=False):
        if step in expected:
            assert replicas(one) == near(*expected[step])


@pytest.mark.parametrize("tree", ["chain", "binary"])
def test_relayed_models_weigh_the_same_however_far_away(tree: str):
    """At lr 0, replicas that differ come to their mean, if that is the model at the start too."""
    one = team("relaysgd", (1.0,) * 6, lr=0.0, tree=tree)
    start = torch.arange(6, dtype=torch.float64) - 2.5
    for rank in range(6):
        one.world.arena.tensor("replica", rank).fill_(float(start[rank]))
    for _ in range(120):
        one.round()
    assert replicas(one) == pytest.approx([0.0] * 6, abs=1e-7)


def test_acid():
    """A ring of four, in rounds: the gradients of all, then the pairs (01)(23) or (12)(30)."""
    one, graph = team("acid", FOUR), Topology("ring")
    expected = {2: 0.57, 10: 1.953964679700, 40: 2.955657351176}
    for number in range(40):
        for rank, view in enumerate(one.views):
            view.push([view.replica[:1] - FOUR[rank]], onto="replica")
            view.buffer("elapsed").fill_(0.5)
        for i, j in ((1, 2), (3, 0)) if number % 2 else ((0, 1), (2, 3)):
            one.views[i].average_with(j, "blocking", momentum=graph)
        if number + 1 in expected:
            assert replicas(one) == near(*[expected[number + 1]] * 4)
    y = [x + 2 * lag for x, lag in zip(replicas(one), replicas(one, "lag"), strict=True)]
    assert y == near(3.011827361008, 2.990860151028, 2.920454551324, 2.899487341344)


@pytest.mark.parametrize(
    ("workers", "eta", "beta"),
    [
        (4, 0.577350269190, 0.577350269190),
        (8, 0.289281483686, 0.987668764946),
        (16, 0.142473826826, 1.871688804942),
        (32, 0.070417592371, 3.664773353373),
    ],
)
def test_rates_of_the_continuous_momentum_on_a_ring(workers: int, eta: float, beta: float):
    assert list(neighbours.continuous_momentum(Topology("ring"), workers)) == near(eta, beta)


def test_averages_of_acid_conserve_the_sum():
    """x + lag over all workers moves by gradients alone, which are those of the replicas here."""
    one = team("acid", FOUR, lr=0.0)
    for rank in range(4):
        one.world.arena.tensor("replica", rank).fill_(float(rank) ** 2)
    one.turns([0, 2, 1, 3, 3, 0, 1, 2] * 25)
    assert sum(replicas(one)) + sum(replicas(one, "lag")) == pytest.approx(14.0, abs=1e-12)
    assert replicas(one) == pytest.approx([3.5] * 4, abs=1e-6)


def test_slow_workers_push_as_often_as_fast_ones():
    one = team("async-diloco", period=8, momentum=0.0, local_steps="speed")
    pushed = [0, 0, 0]
    for turn in range(2800):
        rank = (0, 0, 1, 0, 0, 1, 2)[turn % 7]  # 4, 2 and 1 steps in the same time
        before = float(one.buffer("pushed")[0])
        one.turn(rank)
        pushed[rank] += float(one.buffer("pushed")[0]) > before
    assert [one.views[rank].steps for rank in range(3)] == [1600, 800, 400]
    assert pushed[0] == 200
    assert pushed[1] == pytest.approx(200, rel=0.02)
    assert pushed[2] == pytest.approx(200, rel=0.03)


@pytest.mark.parametrize(
    ("workers", "expected"),
    [(2, 0.828427125), (4, 0.333070512), (8, 0.150614719), (16, 0.071787616), (32, 0.035065497)],
)
def test_threshold_of_a_table(workers: int, expected: float):
    assert [stability.threshold("table", workers - 1)] == near(expected, digits=9)


def test_a_table_stays_near_a_minimum_below_its_threshold_and_leaves_it_above():
    for share, grows in ((0.97, False), (1.03, True)):
        lr = share * stability.threshold("table", 3)
        one = Team(make("ia2sgd"), Point(torch.ones(1, dtype=torch.float64)), 4, lambda at, _: [at[:1]], lr)
        one.turns(list(range(4)) * 250)
        assert (abs(float(one.x[0])) > 1) == grows


def test_the_theory_of_a_table_ends_at_noise_and_random_delays():
    with pytest.raises(ValueError, match="table in mean square: known for constant delay without noise only"):
        stability.mean_square_threshold("table", 3, noise=0.1)
    assert stability.edge("table", {2: 0.5, 3: 0.5}) == stability.threshold("table", 3)
    with pytest.raises(ValueError, match="rule 'table' is none of none"):
        stability.random_order_threshold("table", 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"algorithm": "streaming-diloco", "period": 8, "overlap": 2},
            "overlap is 2, and one of 4 fragments is due every 2",
        ),
        (
            {"algorithm": "async-diloco", "activation": 0.3},
            r"activation is 0\.3: use at most 1 / outer_every, here 0\.1666",
        ),
        ({"algorithm": "rescaled", "cap": 0.5}, "a number >= 1, or 0"),
        ({"algorithm": "relaysgd", "tree": "ring"}, "one of chain, binary"),
        ({"algorithm": "ringleader", "access": "racing"}, "use --access locked"),
        ({"algorithm": "ia2sgd", "access": "atomic"}, "use --access locked"),
        ({"algorithm": "malenia", "access": "racing"}, "use --access locked"),
    ],
)
def test_invalid_options_are_refused_in_one_line(options: dict[str, object], message: str):
    with pytest.raises(UsageError, match=message):
        Config.from_values({"workers": 3, **options})
