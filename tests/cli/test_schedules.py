from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hogwild.config import Config
from hogwild.config.schedules import SCHEDULES, Schedule
from hogwild.drivers.job.job import make_job
from hogwild.errors import UsageError
from hogwild.tasks import Data, TensorSplit
from hogwild.tasks.data import NoSamples


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


def test_cosine_and_linear_end_at_min_lr():
    for kind, middle in (("cosine", 0.25), ("linear", 0.25)):
        schedule = Schedule(kind, 0.4, 100, min_lr=0.1)
        assert [schedule.lr(k) for k in (0, 50, 100, 500)] == pytest.approx([0.4, middle, 0.1, 0.1])
    assert Schedule("cosine", 0.4, 100, min_lr=0.1).lr(25) > Schedule("linear", 0.4, 100, min_lr=0.1).lr(25)


def test_one_cycle_rises_from_a_25th_and_falls_to_min_lr():
    schedule = Schedule.of(Config(lr=0.5, schedule="one-cycle", min_lr=0.01), 100)
    assert schedule.warmup_tickets == 30
    assert [schedule.lr(k) for k in (0, 15, 30, 65, 100)] == pytest.approx([0.02, 0.26, 0.5, 0.255, 0.01])
    assert Schedule.of(Config(lr=0.5, schedule="one-cycle", warmup=0.1), 100).lr(10) == 0.5


def test_inverse_sqrt_halves_at_four_times_the_warmup():
    schedule = Schedule("inverse-sqrt", 0.4, 1000, warmup_tickets=10, start=0.0)
    assert [schedule.lr(k) for k in (5, 10, 40, 90)] == pytest.approx([0.2, 0.4, 0.2, 0.4 / 3])
    assert Schedule("inverse-sqrt", 0.4, 1000).lr(3) == pytest.approx(0.2)


def test_an_own_shape_gets_the_progress_after_the_warmup():
    schedule = Schedule("mine", 0.4, 110, warmup_tickets=10, start=0.5, shape=lambda progress: 1 - progress / 2)
    assert [schedule.lr(k) for k in (0, 5, 10, 60, 110, 999)] == pytest.approx([0.2, 0.3, 0.4, 0.3, 0.2, 0.2])


@pytest.mark.parametrize("kind", [kind for kind in SCHEDULES if kind != "one-cycle"])
def test_warmup_rises_linearly_from_a_workers_share(kind):
    schedule = Schedule(kind, 0.8, 1000, warmup_tickets=100, start=0.25, milestones=(0.5,))
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
    make = lambda: Schedule(kind, 0.3, total, int(warmup * total), 1 / workers, (0.3, 0.6), 0.5)  # noqa: E731
    lr = make().lr(ticket)
    assert 0 <= lr <= 0.3 * (1 + 1e-12)
    assert lr == make().lr(ticket)


def test_schedule_of_a_config():
    config = Config(lr=0.5, schedule="step", milestones=(0.5,), warmup=0.1, workers=5)
    assert Schedule.of(config, 200) == Schedule("step", 0.5, 200, 20, 0.2, (0.5,), 0.1)
    assert Schedule.of(Config(), 10).lr(3) == 0.1


def test_a_warmup_of_one_worker_begins_at_zero_and_of_several_at_a_workers_share():
    assert Config(warmup=0.1, workers=1).warmup_from == 0
    assert Config(warmup=0.1, workers=5).warmup_from == 0.2
    assert Config(warmup=0.1, workers=5, warmup_from=0.5).warmup_from == 0.5
    assert Config(norm="full", workers=1).warmup_from == 1  # nobody asked for one


def half(progress: float) -> float:
    return 1.0 if progress < 0.5 else 0.25


def scheduled(shape=None, **values) -> list[float]:
    """The learning rates of a run of 36 tickets, nine in an epoch."""
    inputs = torch.ones(99, 3)
    data = Data("ones", TensorSplit(inputs, inputs[:, 0].long()), NoSamples(), (3,), 2, "vector")
    config = Config.from_values({"epochs": 4, "batch_size": 11, "lr": 0.8, "workers": 1, **values})
    job = make_job(config, data, lambda _: torch.nn.Linear(3, 2), shape=shape)
    assert job.total_tickets == 36
    return [job.schedule.lr(ticket) for ticket in range(job.total_tickets)]


def test_warmup_in_updates_and_samples_and_steps_in_epochs():
    ramp = [0.2, 0.4, 0.6, 0.8, 0.8]
    assert scheduled(warmup_updates=3, warmup_from=0.25)[:5] == pytest.approx(ramp)
    assert scheduled(warmup_samples=33, warmup_from=0.25)[:5] == pytest.approx(ramp)
    softsync = scheduled(warmup_updates=3, algorithm="k-async", k=2, access="locked", workers=3, warmup_from=0.25)
    assert softsync[6] == 0.8 > softsync[5]  # an update takes two tickets
    rates = scheduled(schedule="step", step_epochs=(1, 3), step_factor=0.5)
    assert [rates.index(lr) for lr in (0.8, 0.4, 0.2)] == [0, 9, 27]
    with pytest.raises(UsageError, match="warmup_updates 36 is not below the run's whole length"):
        scheduled(warmup_updates=36)


def test_a_schedule_by_name_is_imported(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    by_name = scheduled(schedule="test_schedules:half")
    assert by_name == [0.8] * 18 + [0.2] * 18 == scheduled(half, schedule="a:b")
    with pytest.raises(UsageError, match=r"schedule a:b gives float -1.0 at progress 0; it must give the factor on lr"):
        scheduled(lambda progress: -1.0, schedule="a:b")
    with pytest.raises(UsageError, match=r"schedule a:b fails at progress 0: ZeroDivisionError"):
        scheduled(lambda progress: 1 / progress, schedule="a:b")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"schedule": "wave"},
            "schedule: 'wave' is not allowed; it must be one of constant, .* or module:func",
        ),
        ({"min_lr": 0.1}, "min_lr is for --schedule cosine, linear, one-cycle, this one is constant"),
        ({"warmup": 0.1, "warmup_updates": 3}, "warmup and warmup_updates are both given"),
        ({"schedule": "step", "milestones": (0.5,), "step_epochs": (1,)}, "milestones and step_epochs are both given"),
        ({"step_epochs": (3, 1)}, "step_epochs: .* it must be rising numbers of epochs"),
    ],
)
def test_schedules_that_make_no_sense_are_refused(values, message):
    with pytest.raises(UsageError, match=message):
        Config.from_values(values)


def test_impossible_schedules_are_refused():
    with pytest.raises(ValueError, match="schedule 'wave' is none of constant, cosine, linear"):
        Schedule("wave", 0.1, 10)
    with pytest.raises(ValueError, match="a warm-up of 10 tickets does not fit into 10"):
        Schedule("cosine", 0.1, 10, warmup_tickets=10)
