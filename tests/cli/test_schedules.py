from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hogwild.config import Config
from hogwild.config.schedules import SCHEDULES, Schedule


def test_constant():
    schedule = Schedule("constant", 0.1, 100)
    assert {schedule.lr(k) for k in range(200)} == {0.1}


def test_cosine_starts_at_lr_is_half_in_the_middle_and_ends_at_zero():
    schedule = Schedule("cosine", 0.4, 100)
    assert schedule.lr(0) == 0.4
    assert schedule.lr(50) == pytest.approx(0.2)
    assert schedule.lr(25) == pytest.approx(0.2 * (1 + math.sqrt(0.5)))
    assert schedule.lr(100) == schedule.lr(1000) == 0.0


def test_step_falls_exactly_at_its_milestones():
    schedule = Schedule("step", 1.0, 100, milestones=(0.5, 0.75), factor=0.1)
    assert [schedule.lr(k) for k in (0, 49, 50, 74, 75, 500)] == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


@pytest.mark.parametrize("kind", SCHEDULES)
def test_warmup_rises_linearly_from_a_workers_share(kind):
    schedule = Schedule(kind, 0.8, 1000, warmup_tickets=100, workers=4, milestones=(0.5,))
    assert schedule.lr(0) == pytest.approx(0.2)
    assert schedule.lr(50) == pytest.approx(0.5)
    assert schedule.lr(100) == pytest.approx(0.8)
    steps = [schedule.lr(k + 1) - schedule.lr(k) for k in range(100)]
    assert steps == pytest.approx([0.006] * 100)


@given(
    st.sampled_from(sorted(SCHEDULES)),
    st.integers(1, 10**6),
    st.floats(0, 0.99),
    st.integers(1, 64),
    st.integers(0, 2 * 10**6),
)
def test_lr_stays_between_zero_and_the_base_and_is_a_pure_function(kind, total, warmup, workers, ticket):
    make = lambda: Schedule(kind, 0.3, total, int(warmup * total), workers, (0.3, 0.6), 0.5)  # noqa: E731
    lr = make().lr(ticket)
    assert 0 <= lr <= 0.3
    assert lr == make().lr(ticket)


def test_schedule_of_a_config():
    config = Config(lr=0.5, schedule="step", milestones=(0.5,), warmup=0.1, workers=5)
    assert Schedule.of(config, 200) == Schedule("step", 0.5, 200, 20, 5, (0.5,), 0.1)
    assert Schedule.of(Config(), 10).lr(3) == 0.1


def test_impossible_schedules_are_refused():
    with pytest.raises(ValueError, match="schedule 'linear' is none of constant, cosine, step"):
        Schedule("linear", 0.1, 10)
    with pytest.raises(ValueError, match="a warm-up of 10 tickets does not fit into 10"):
        Schedule("cosine", 0.1, 10, warmup_tickets=10)
