"""The control block: tickets, pushes and delays."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from control_blocks import WAIT_S, address_for, block, together

from hogwild.kernels import Push
from hogwild.kernels.control import Control


def test_a_second_view_sees_the_same_block_and_a_foreign_one_is_refused():
    address = address_for(3, 2)
    control = Control(address, 3, 2, create=True)
    control.version = 41
    assert Control(address, 3, 2, create=False).version == 41
    with pytest.raises(ValueError, match="not a block of this build"):
        Control(address, 4, 2, create=False)
    with pytest.raises(ValueError, match="multiple of 128"):
        Control(address + 8, 3, 2, create=False)
    with pytest.raises(IndexError, match="rank 3 of 3"):
        control.take(3)


def test_every_ticket_is_assigned_exactly_once():
    control = block(4)
    control.assign(0, 1000, [])
    taken: list[list[int]] = [[] for _ in range(4)]

    def work(rank: int) -> Callable[[], None]:
        def run() -> None:
            while (ticket := control.take(rank)) != -1:
                taken[rank].append(ticket)
                control.complete(rank)

        return run

    together(*[work(rank) for rank in range(4)])
    assert sorted(ticket for tickets in taken for ticket in tickets) == list(range(1000))
    assert control.outstanding() == []


def test_the_ticket_of_a_dead_worker_is_assigned_again_first():
    control = block(3)
    control.assign(0, 10, [])
    assert [control.take(0), control.take(1), control.take(2)] == [0, 1, 2]
    control.complete(0)
    control.mark_dead(1, 1.0)
    assert control.outstanding() == [1, 2]
    assert control.take(0) == 1
    control.mark_dead(2, 1.0)
    control.mark_dead(0, 1.0)
    assert control.outstanding() == [1, 2]
    first = control.take(1)
    assert control.take(1) == first, "the ticket that a worker holds comes first"
    control.complete(1)
    assert {first, control.take(1)} == {1, 2}
    control.complete(1)
    assert control.take(1) == 3


def test_completed_tickets_are_counted_by_rank_and_outlive_a_worker():
    control = block(2)
    control.assign(0, 10, [])
    control.restore_completed(1, 40)
    for _ in range(3):
        control.take(0)
        control.complete(0)
        control.complete(0)  # the worker holds no ticket any more
    control.take(0)
    control.take(1)
    control.mark_dead(0, 1.0)
    assert (control.completed(0), control.completed(1)) == (3, 40)
    control.complete(1)
    assert control.take(1) == 3, "the interrupted ticket"
    control.complete(1)
    assert (control.completed(0), control.completed(1)) == (3, 42)


def test_a_worker_without_work_waits_for_tickets_that_may_come_back():
    control = block(2)
    control.assign(0, 2, [])
    assert (control.take(0), control.take(1)) == (0, 1)
    control.complete(0)
    assert control.take(0) == -1
    assert not control.wait_for_work(0, 0.01)  # worker 1 still holds ticket 1
    assert control.outstanding() == [1]
    control.mark_dead(1, 1.0)
    assert control.wait_for_work(0, WAIT_S)
    assert control.take(0) == 1
    control.complete(0)
    assert not control.wait_for_work(0, WAIT_S)


def test_stopping_assigns_no_more_tickets_but_keeps_the_remaining_ones():
    control = block(1)
    control.assign(5, 10, [2])
    control.stop()
    assert control.take(0) == -1
    assert control.outstanding() == [2]


def test_more_tickets_to_assign_again_than_lines_is_refused():
    with pytest.raises(ValueError, match="more tickets"):
        block(1).assign(5, 10, [1, 2])


def test_delay_counts_the_commits_of_others_since_the_own_pull():
    control = block(2)
    for rank in (0, 1):
        control.pulled(rank)

    def push(rank: int) -> None:
        control.begin_push(rank, False)
        control.end_push(rank, False, True, 0, 4.0, 1.0)

    for rank in (0, 1, 1, 0, 0):  # delays 0 1 0 2 0
        push(rank)
    assert control.version == 5
    assert control.delays(0)[:4] == [2, 0, 1, 0]
    assert control.delays(1)[:4] == [1, 1, 0, 0]
    assert control.stats(0)["delay_max"] == 2
    assert control.stats(0)["delay_sum"] + control.stats(1)["delay_sum"] == 3
    assert control.stats(0)["gap_sq"] == 12.0


def test_a_refused_push_counts_but_is_no_version():
    control = block(1)
    control.begin_push(0, True)
    control.end_push(0, True, False, 7, 0.0, 0.0)
    stats = control.stats(0)
    assert (control.version, stats["pushes"], stats["refused"], stats["nonfinite"]) == (0, 0, 1, 7)


@pytest.mark.parametrize("element", [2.0, math.inf])
def test_a_push_is_counted_by_what_its_kernel_measured(element: float):
    control, x, snapshot = block(1), torch.ones(17), torch.zeros(17)
    push = Push(x=x, snapshot=snapshot, segments=[(0, 17)])
    stats = push([torch.full((17,), element)], lr=0.5, pushes=0, lr_max=0.5)
    control.begin_push(0, True)
    control.count_push(0, True, stats)
    found, applied = control.totals(0), element == 2.0
    assert control.version == found["pushes"] == applied
    assert (found["refused"], found["nonfinite"]) == ((0, 0) if applied else (1, 17))
    assert (found["gap_sq"], found["step_sq"]) == ((17.0, 17.0) if applied else (0.0, 0.0))
    assert control.lock_holders() == []


def test_the_largest_lr_is_kept():
    control = block(1)
    assert [control.raise_lr_max(lr) for lr in (0.1, 0.3, 0.2)] == [0.1, 0.3, 0.3]
    assert control.lr_max == 0.3


def test_leased_tickets_have_the_numbers_of_their_blocks_and_workers_wait_for_more():
    control = block(2)
    control.assign(0, 0, [])
    control.lease(0, 0, more=True)
    assert control.open
    assert not control.exhausted()
    taken: list[int] = []

    def work() -> None:
        while True:
            while (ticket := control.take(0)) == -1:
                if not control.wait_for_work(0, WAIT_S) and not control.open:
                    return
            taken.append(control.number(ticket))
            control.complete(0)

    def lease() -> None:
        for first, count in ((12, 3), (15, 3), (30, 2), (4, 1)):
            control.lease(first, count, more=True)
        control.lease(0, 0, more=False)

    together(work, lease)
    assert taken == [12, 13, 14, 15, 16, 17, 30, 31, 4]
    assert control.exhausted()
    assert [control.number(ticket) for ticket in (0, 5, 6, 8)] == [12, 17, 30, 4]
    control.assign(0, 10, [])
    assert not control.open
    assert control.number(3) == 3


def test_a_lease_that_continues_the_last_one_needs_no_room():
    control = block(1)
    control.assign(0, 0, [])
    for k in range(2000):
        control.lease(k, 1, more=True)
    for k in range(1024):
        control.lease(5000 + 2 * k, 1, more=True)
    with pytest.raises(ValueError, match="more than 1024 leases"):
        control.lease(90_000, 1, more=True)
    assert (control.number(1999), control.number(2001)) == (1999, 5002)
