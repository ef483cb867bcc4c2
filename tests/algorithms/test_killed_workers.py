"""Workers that are killed, left out and replaced, in algorithms that keep tables or ledgers of all workers."""

from __future__ import annotations

import pytest
import torch
from harness import Team
from problem_t import team

from hogwild.algorithms.stale.latest import CHANGES, COUNTS
from hogwild.drivers.view.round_table import INSIDE, ROW


def of(one: Team, name: str, rank: int | None = None) -> torch.Tensor:
    return one.world.arena.tensor(name, rank)


def rows(one: Team, flag: int) -> float:
    return sum(float(of(one, "v", j)[0]) for j in range(3) if of(one, "state", j)[flag])


TABLES = [("ia2sgd", COUNTS, CHANGES), ("ringleader", ROW, INSIDE)]


@pytest.mark.parametrize(("name", "counts", "inside"), TABLES)
def test_a_push_that_was_left_half_done_is_made_up_for(name: str, counts: int, inside: int):
    one = team(name)
    one.turns([0, 1, 2, 0, 1, 0, 0, 2, 1, 0])
    of(one, "v_sum").add_(5.0)
    of(one, "state", 1)[inside] = 1
    one.kill(1)
    one.replace(1)
    one.turn(1)
    assert float(of(one, "v_sum")[0]) == pytest.approx(rows(one, counts), abs=1e-12)
    assert float(of(one, "state", 1)[inside]) == 0


@pytest.mark.parametrize(("name", "counts", "inside"), TABLES)
def test_the_row_of_a_worker_that_is_gone_does_not_count_until_it_is_replaced(name: str, counts: int, inside: int):
    one = team(name)
    one.turns([0, 1, 2] * 5)
    one.kill(2)
    one.turns([0, 0, 1] * 200)
    assert float(of(one, "state", 2)[counts]) == 0
    assert float(of(one, "v_sum")[0]) == pytest.approx(rows(one, counts), abs=1e-12)
    assert float(one.x[0]) == pytest.approx(1.5, abs=1e-6), "the optimum of the other two"
    one.replace(2)
    one.turns([0, 0, 1, 2] * 200)
    assert float(one.x[0]) == pytest.approx(7 / 3, abs=1e-6)
    assert float(of(one, "v_sum")[0]) == pytest.approx(rows(one, counts), abs=1e-12)


def test_ia2sgd_with_an_age_leaves_out_the_gone_too():
    one = team("ia2sgd", max_age=50)
    one.turns([0, 1, 2] * 5)
    one.kill(2)
    one.turns([0, 0, 1] * 200)
    assert float(one.x[0]) == pytest.approx(1.5, abs=1e-6)


def test_malenia_does_not_wait_for_the_gone():
    one = team("malenia")
    one.kill(2)
    one.turns([0, 1] * 300)
    assert float(one.x[0]) == pytest.approx(1.5, abs=1e-6)


def test_an_exchange_of_area_that_was_left_half_done_is_made_up_for():
    one = team("area", period=2)
    one.turns([0, 1, 2, 0, 1, 0, 0, 2, 1, 0])
    of(one, "x").add_(5.0)
    of(one, "exchanges", 1).fill_(1)
    one.kill(1)
    one.replace(1)
    sent = [float(of(one, "sent", rank)[0]) for rank in range(3)]
    assert float(of(one, "x")[0]) == pytest.approx(sum(sent) / 3, abs=1e-12)
    assert float(of(one, "exchanges", 1)[0]) == 0


@pytest.mark.parametrize("tree", ["chain", "binary"])
def test_relaysgd_joins_the_workers_that_are_left(tree: str):
    """The middle of the chain dies; the mean of the models is kept when it goes and when it comes back."""
    one = team("relaysgd", tree=tree)
    for _ in range(7):
        one.round()
    one.kill(1)
    for _ in range(200):
        one.round()
    assert [float(of(one, "replica", rank)[0]) for rank in (0, 2)] == pytest.approx([2.5, 2.5], abs=0.2)
    one.replace(1)
    one.round()
    together = [float(of(one, "replica", rank)[0]) for rank in range(3)]
    assert together == [together[0]] * 3
    for _ in range(200):
        one.round()
    assert sum(float(of(one, "replica", rank)[0]) for rank in range(3)) / 3 == pytest.approx(7 / 3, abs=1e-6)
