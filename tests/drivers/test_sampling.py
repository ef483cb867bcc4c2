"""Tickets and batches: an epoch is one pass over the data, and the seed alone decides the order."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hogwild.config import Config
from hogwild.drivers.job.batches import BatchOrder
from hogwild.shared.seeds import seed_batch


@settings(max_examples=50, deadline=None)
@given(samples=st.integers(1, 300), batch_size=st.integers(1, 64), seed=st.integers(0, 2**40), epoch=st.integers(0, 5))
def test_an_epoch_is_one_pass_over_the_data(samples: int, batch_size: int, seed: int, epoch: int):
    order = BatchOrder(samples, batch_size, seed)
    tickets = range(epoch * order.tickets_per_epoch, (epoch + 1) * order.tickets_per_epoch)
    batches = [order.indices(ticket) for ticket in tickets]
    assert sorted(torch.cat(batches).tolist()) == list(range(samples))
    assert all(len(batch) == batch_size for batch in batches[:-1])
    assert order.samples_before(tickets.stop) == (epoch + 1) * samples
    assert [order.samples_before(t + 1) - order.samples_before(t) for t in tickets] == [len(b) for b in batches]


def test_the_seed_decides_the_order():
    def epochs(seed: int) -> torch.Tensor:
        order = BatchOrder(1000, 64, seed)
        return torch.cat([order.indices(ticket) for ticket in range(2 * order.tickets_per_epoch)])

    assert torch.equal(epochs(1), epochs(1))
    assert not torch.equal(epochs(1), epochs(2))
    assert not torch.equal(epochs(1)[:1000], epochs(1)[1000:])


def test_a_ticket_has_its_own_randomness():
    draws = []
    for seed, ticket in ((0, 0), (0, 1), (1, 0), (0, 0)):
        seed_batch(seed, ticket)
        draws.append(torch.rand(4))
    assert torch.equal(draws[0], draws[3])
    assert not torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_the_limit_of_a_run_in_tickets():
    order = BatchOrder(1000, 64, 0)  # 16 tickets an epoch, the last of 40 samples
    assert order.total_tickets(Config(epochs=2.5), 1) == 40
    assert order.total_tickets(Config(samples=1064), 1) == 17
    assert order.total_tickets(Config(samples=1065), 1) == 18
    assert order.total_tickets(Config(updates=7), 1) == 7
    assert order.total_tickets(Config(updates=7), 3) == 21
    assert order.total_tickets(Config(epochs=1e-9), 1) == 1
