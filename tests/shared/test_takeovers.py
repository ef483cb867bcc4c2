"""A ticket in two hands: whichever order the two workers finish or die in, it is completed once and never lost."""

from __future__ import annotations

import ctypes
import itertools
import random
import struct

import pytest
from control_blocks import address_for, block
from test_control_deaths import TICKETS, die_with_lock

from hogwild.kernels.control import LOCK_BYTES, Control

LINES = Control.bytes(0, 0) + LOCK_BYTES  # after the header and one stripe
LINE = Control.bytes(1, 0) - Control.bytes(0, 0)
HELD, CLAIM = 40, 116  # in a worker's line
ALONE, SHARED, CLAIMED, OVERTAKEN = range(4)
SECOND = 10**9


def shared(workers: int = 3) -> Control:
    """Worker 0 has had ticket 0 for 100 s, worker 1 has taken it over; the others have none."""
    control = block(workers)
    control.assign(0, 2, [])
    assert control.take(0, True, 1 * SECOND) == 0
    assert control.take(1, True, 1 * SECOND) == 1
    assert control.claim(1)
    control.complete(1)
    assert control.take(1, True, 101 * SECOND) == -1, "it took 100 s for its own: 0 is not out for twice as long"
    assert control.takes_over_at(1) == 201 * SECOND
    assert control.take(1, True, 201 * SECOND - 1) == -1
    assert control.take(1, False, 202 * SECOND) == -1, "it was not asked to"
    assert control.take(1, True, 202 * SECOND) == 0
    assert control.outstanding() == [0]
    return control


@pytest.mark.parametrize("first", [0, 1])
def test_the_first_to_claim_completes_it_and_the_other_drops_its_gradient(first: int):
    control, other = shared(), 1 - first
    assert [control.overtaken(rank) for rank in range(2)] == [False, False]
    assert control.claim(first)
    assert control.claim(first), "a claim holds"
    assert control.overtaken(other)
    assert control.outstanding() == [0], "claimed, and not completed yet"
    control.complete(first)
    assert control.outstanding() == []
    assert not control.claim(other)
    assert not control.overtaken(other)
    assert control.take(other) == -1
    assert sum(map(control.completed, range(3))) == 2
    assert control.totals(first)["overtook"] == (first == 1)
    assert control.totals(other)["overtook"] == 0


@pytest.mark.parametrize("dies", [0, 1])
@pytest.mark.parametrize("has_claimed", [False, True])
def test_one_of_the_two_dies(dies: int, has_claimed: bool):
    control, other = shared(), 1 - dies
    if has_claimed:
        assert control.claim(dies)
    assert control.mark_dead(dies, 1.0)
    assert control.outstanding() == [0]
    if has_claimed:  # killed in its push: its ticket is done again, by whoever asks
        assert not control.claim(other)
        assert control.take(2) == 0
        other = 2
    else:
        assert control.take(2) == -1, "the other one still has it"
        assert control.take(2, True, 10**6 * SECOND) == 0, "and is alone: it can be taken over once more"
    assert control.claim(other)
    control.complete(other)
    assert control.outstanding() == []
    assert sum(map(control.completed, range(3))) == 2


def test_both_die_and_the_ticket_is_assigned_again_once():
    control = shared()
    assert control.mark_dead(0, 1.0)
    assert control.mark_dead(1, 1.0)
    assert control.take(2) == 0
    assert control.take(0) == -1
    control.complete(2)
    assert control.outstanding() == []


def test_the_one_that_was_too_late_dies():
    control = shared()
    assert control.claim(1)
    control.complete(1)
    assert control.mark_dead(0, 1.0)
    assert control.outstanding() == []
    assert control.take(0) == -1


def test_a_claimed_ticket_is_not_taken_over_until_it_is_disclaimed():
    control = block(2)
    control.assign(0, 1, [])
    assert control.take(0, True, 0) == 0
    assert control.claim(0)
    assert control.take(1, True, 9 * SECOND) == -1
    assert control.takes_over_at(1) is None
    control.disclaim(0)
    assert control.take(1, True, 9 * SECOND) == 0
    control.disclaim(0)
    assert control.claim(1), "to disclaim what was not claimed changes nothing"
    assert not control.claim(0)


def test_nothing_is_taken_over_while_there_are_other_tickets():
    control = block(2)
    control.assign(0, 2, [])
    assert control.take(0, True, 0) == 0
    assert control.takes_over_at(1) is None
    assert control.take(1, True, 9 * SECOND) == 1
    control.lease(2, 1, True)
    assert control.take(1, True, 9 * SECOND) == 1
    control.complete(1)
    assert control.take(1, True, 9 * SECOND) == 2
    control.complete(1)
    assert control.take(1, True, 99 * SECOND) == -1, "more may be leased"


@pytest.mark.parametrize("stores", range(4))
def test_killed_while_it_takes_a_ticket_over(stores: int):
    forged = Forged()
    assert forged.control.take(0, True, 0) == 0
    forged.die_in_the_lock(*[(0, CLAIM, SHARED), (1, CLAIM, SHARED), (1, HELD, 0)][:stores])
    assert forged.control.mark_dead(1, 1.0)
    assert forged.control.take(2, True, SECOND) == 0, "the ticket can still be taken over"
    assert forged.control.claim(0)
    forged.control.complete(0)
    assert not forged.control.claim(2)
    assert forged.control.outstanding() == []


@pytest.mark.parametrize("stores", range(4))
def test_killed_while_it_claims_a_ticket_in_two_hands(stores: int):
    forged = Forged()
    assert forged.control.take(0, True, 0) == 0
    assert forged.control.take(1, True, SECOND) == 0
    forged.die_in_the_lock(*[(1, CLAIM, CLAIMED), (0, CLAIM, OVERTAKEN), (0, HELD, -1)][:stores])
    assert forged.control.mark_dead(1, 1.0)
    done, ranks = 0, itertools.cycle([0, 2])
    while forged.control.outstanding():
        rank = next(ranks)
        if forged.control.take(rank) == 0 and forged.control.claim(rank):
            forged.control.complete(rank)
            done += 1
    assert done == 1


@pytest.mark.parametrize("seed", range(20))
def test_random_orders_of_all_that_can_happen(seed: int):
    """Every ticket is pushed once, and once more for each worker that died between its claim and its completion."""
    rng, workers, total = random.Random(seed), 5, 23
    control = block(workers)
    control.assign(0, total, [])
    pushed, again, hands, now = [0] * total, 0, dict.fromkeys(range(workers), -1), 0
    claimed: set[int] = set()
    while control.outstanding() or control.next < total:
        now += rng.randrange(SECOND)
        rank = rng.randrange(workers)
        if hands[rank] < 0:
            hands[rank] = control.take(rank, True, now)
        elif rng.random() < 0.1:
            again += rank in claimed
            claimed.discard(rank)
            assert control.mark_dead(rank, 1.0)
            hands[rank] = -1
        elif rank in claimed:
            claimed.discard(rank)
            control.complete(rank)
            hands[rank] = -1
        elif control.claim(rank):
            claimed.add(rank)
            pushed[hands[rank]] += 1
        else:
            hands[rank] = -1
    assert min(pushed) == 1
    assert sum(pushed) == total + again
    assert sum(map(control.completed, range(workers))) == total


class Forged:
    """A control block of three workers and one ticket, whose words can be set by hand."""

    def __init__(self) -> None:
        self.address = address_for(3, 1)
        self.control = Control(self.address, 3, 1, create=True)
        self.control.assign(0, 1, [])

    def die_in_the_lock(self, *stores: tuple[int, int, int]) -> None:
        """A thread takes the lock of the tickets, makes the stores (rank, word, value), and ends with the lock."""

        def put() -> None:
            for rank, word, value in stores:
                text = struct.pack("<i" if word == CLAIM else "<q", value)
                ctypes.memmove(self.address + LINES + rank * LINE + word, text, len(text))

        die_with_lock(self.address + TICKETS, put)


def test_the_words_are_where_this_file_takes_them_to_be():
    forged = Forged()
    assert forged.control.take(0, True, 0) == 0
    forged.die_in_the_lock((0, CLAIM, OVERTAKEN), (0, HELD, -1))
    assert forged.control.overtaken(0)
    assert forged.control.outstanding() == []
