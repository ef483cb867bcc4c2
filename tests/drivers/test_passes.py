"""Passes over a part of the data: every sample once, in the requested order, in batches of the requested size."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hogwild.config import Config
from hogwild.drivers.job.batches import BatchOrder, ShardedOrder
from hogwild.drivers.job.passes import Passes

ORDERS = ("shuffled", "sorted", "single-class")
cases = given(
    order=st.sampled_from(ORDERS), samples=st.integers(1, 120), batch_size=st.integers(1, 40),
    classes=st.integers(1, 11), seed=st.integers(0, 2**40), turn=st.integers(0, 3),
)  # fmt: skip


def make(
    order: str, samples: int, batch_size: int, classes: int, seed: int, full: bool = False
) -> tuple[Passes, Tensor]:
    """Passes over a part of 300 samples, and the class of each of the 300."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (300,), generator=generator)
    part = torch.randperm(300, generator=generator)[:samples]
    return Passes(part, batch_size, seed, order, labels[part], full), labels


@settings(max_examples=80, deadline=None)
@cases
def test_a_pass_uses_every_sample_once(order: str, samples: int, batch_size: int, classes: int, seed: int, turn: int):
    passes, labels = make(order, samples, batch_size, classes, seed)
    numbers = range(turn * len(passes), (turn + 1) * len(passes))
    batches = [passes.batch(number) for number in numbers]
    assert sorted(torch.cat(batches).tolist()) == sorted(passes.part.tolist())
    assert all(1 <= len(batch) <= batch_size for batch in batches)
    sizes = [passes.samples_before(number + 1) - passes.samples_before(number) for number in numbers]
    assert sizes == [len(batch) for batch in batches]
    if order == "sorted":
        assert (labels[torch.cat(batches)].diff() >= 0).all()
    if order == "single-class":
        assert all(len(labels[batch].unique()) == 1 for batch in batches)
        assert sum(len(batch) < batch_size for batch in batches) <= len(labels[passes.part].unique())
    else:
        assert all(len(batch) == batch_size for batch in batches[:-1])


@settings(max_examples=80, deadline=None)
@cases
def test_full_batches_are_full_and_leave_no_sample_out(
    order: str, samples: int, batch_size: int, classes: int, seed: int, turn: int
):
    passes, labels = make(order, samples, batch_size, classes, seed, full=True)
    batches = [passes.batch(number) for number in range(turn * len(passes), (turn + 1) * len(passes))]
    assert all(len(batch) == batch_size for batch in batches)
    assert set(torch.cat(batches).tolist()) == set(passes.part.tolist())
    assert passes.samples_before(7) == 7 * batch_size
    for batch in batches:
        uses = torch.unique(batch, return_counts=True)[1]
        assert uses.max() - uses.min() <= 1
        if order == "single-class":
            assert len(labels[batch].unique()) == 1


@pytest.mark.parametrize("order", ORDERS)
def test_every_pass_is_shuffled_anew_and_can_be_entered_anywhere(order: str):
    passes, labels = make(order, 120, 16, 4, 5)
    whole = [passes.batch(number) for number in range(2 * len(passes))]
    assert not torch.equal(torch.cat(whole[: len(passes)]), torch.cat(whole[len(passes) :]))
    again, _ = make(order, 120, 16, 4, 5)
    for number in (len(passes) + 2, 1, 2 * len(passes) - 1, 0):
        assert torch.equal(again.batch(number), whole[number])
    if order == "single-class":
        firsts = [int(labels[batch[0]]) for batch in whole[: len(passes)]]
        assert firsts != sorted(firsts)


def test_batches_of_a_worker_do_not_depend_on_tickets():
    order = ShardedOrder([torch.arange(0, 50), torch.arange(50, 57)], 16, 3)
    mine = [order.begin(ticket, 0, number).tolist() for number, ticket in enumerate((0, 1, 2, 3))]
    dice = torch.rand(3)
    for number, ticket in reversed(list(enumerate((90, 4, 17, 40)))):
        order.begin(ticket + 1, 1, number + 5)
        assert order.begin(ticket, 0, number).tolist() == mine[number]
    order.begin(0, 0, 3)
    assert torch.equal(torch.rand(3), dice), "dropout and augmentation depend on the batch too"
    order.begin(0, 1, 3)
    assert not torch.equal(torch.rand(3), dice)
    assert set(order.begin(0, 1, 0).tolist()) == set(range(50, 57))


@pytest.mark.parametrize("order", ORDERS)
def test_the_limit_of_a_run_in_tickets(order: str):
    classes = torch.arange(1000) % 3
    whole = BatchOrder(1000, 64, 0, order, classes)
    per_epoch = whole.tickets_per_epoch
    assert per_epoch == (18 if order == "single-class" else 16)
    for samples in (1, 63, 999, 1000, 1001, 2500):
        tickets = whole.total_tickets(Config(samples=samples), 1)
        assert whole.samples_before(tickets) >= samples > whole.samples_before(tickets - 1)
    assert whole.total_tickets(Config(epochs=2), 1) == 2 * per_epoch
    parts = ShardedOrder(list(torch.arange(1000).split(201)), 64, 0, order, classes)
    assert parts.total_tickets(Config(epochs=8), 1) == 125  # 8000 samples in full batches
    assert parts.samples_before(125) == 8000
    assert parts.total_tickets(Config(samples=129), 1) == 3
    assert parts.total_tickets(Config(updates=7), 5) == 35
