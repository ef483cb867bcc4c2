"""A worker killed between any two stores to its ticket: the next one repairs it, and each ticket is completed once."""

from __future__ import annotations

import ctypes
import struct
import threading
from collections.abc import Callable

import pytest
from control_blocks import address_for, block

from hogwild.kernels.control import LOCK_BYTES, Control

LIBC = ctypes.CDLL(None)
TICKETS = 768  # the lock of the tickets, in the header
NEXT = TICKETS + LOCK_BYTES
LINES = Control.bytes(0, 0) + LOCK_BYTES  # after the header and one stripe
LINE = Control.bytes(1, 0) - Control.bytes(0, 0)
HELD, RECLAIMED, COMPLETED, COMPLETING = 40, 48, 56, 64  # in a worker's line
TOTAL = 7


def die_with_lock(lock: int, work: Callable[[], None]) -> None:
    """A thread takes the robust lock at that address, does the work, and ends with the lock in its hand."""

    def run() -> None:
        assert LIBC.pthread_mutex_lock(ctypes.c_void_p(lock)) == 0
        work()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


class Forged:
    """A control block of three workers whose words can be set by hand."""

    def __init__(self) -> None:
        self.address = address_for(3, 1)
        self.control = Control(self.address, 3, 1, create=True)
        self.control.assign(0, TOTAL, [])
        self.done: list[int] = []

    def put(self, offset: int, value: int) -> None:
        ctypes.memmove(self.address + offset, struct.pack("<q", value), 8)

    def get(self, offset: int) -> int:
        return struct.unpack("<q", ctypes.string_at(self.address + offset, 8))[0]

    def die_in_the_lock(self, *stores: tuple[int, int]) -> None:
        """A thread takes the lock of the tickets, makes the stores, and ends with the lock in its hand."""

        def put() -> None:
            for offset, value in stores:
                self.put(offset, value)

        die_with_lock(self.address + TICKETS, put)

    def finish(self, *ranks: int) -> list[int]:
        """These workers, in turn, do what is left; all the tickets that were completed."""
        while left := [(rank, ticket) for rank in ranks if (ticket := self.control.take(rank)) != -1]:
            assert len({ticket for _, ticket in left}) == len(left), "two workers have the same ticket"
            for rank, ticket in left:
                self.control.complete(rank)
                self.done.append(ticket)
        return sorted(self.done)


def held(rank: int) -> int:
    return LINES + rank * LINE + HELD


def reclaimed(rank: int) -> int:
    return LINES + rank * LINE + RECLAIMED


def test_the_words_are_where_this_file_takes_them_to_be():
    block = Forged()
    assert (block.get(NEXT), block.get(NEXT + 8)) == (0, TOTAL)
    assert [block.control.take(rank) for rank in range(3)] == [0, 1, 2]
    assert [block.get(held(rank)) for rank in range(3)] == [0, 1, 2]
    block.control.complete(1)
    assert (block.get(LINES + LINE + COMPLETED), block.get(LINES + LINE + COMPLETING)) == (1, 1)
    block.control.mark_dead(2, 1.0)
    assert 2 in [block.get(reclaimed(rank)) for rank in range(3)]


@pytest.mark.parametrize("stores", [0, 1, 2])
@pytest.mark.parametrize("others_first", [True, False], ids=["others first", "parent first"])
def test_killed_while_it_takes_a_new_ticket(stores: int, others_first: bool):
    block = Forged()
    block.die_in_the_lock(*[(held(0), 0), (NEXT, 1)][:stores])
    if others_first:
        assert block.control.take(1) == (1 if stores else 0), "ticket 0 is in the dead worker's hand"
    assert block.control.mark_dead(0, 1.0)
    if others_first:
        block.done.append(block.control.take(1))
        block.control.complete(1)
    assert block.finish(1, 2) == list(range(TOTAL))
    assert block.control.outstanding() == []


@pytest.mark.parametrize("stores", [0, 1, 2])
@pytest.mark.parametrize("others_first", [True, False], ids=["others first", "parent first"])
def test_killed_while_it_takes_the_ticket_of_a_dead_worker(stores: int, others_first: bool):
    block = Forged()
    assert block.control.take(0) == 0
    assert block.control.mark_dead(0, 1.0)
    [slot] = [rank for rank in range(3) if block.get(reclaimed(rank)) == 0]
    block.die_in_the_lock(*[(held(1), 0), (reclaimed(slot), -1)][:stores])
    assert block.control.outstanding() == [0]
    if others_first:
        assert block.control.take(2) == (1 if stores else 0)
    assert block.control.mark_dead(1, 1.0)
    if others_first:
        block.done.append(block.control.take(2))
        block.control.complete(2)
    assert block.finish(0, 2) == list(range(TOTAL))
    assert block.control.outstanding() == []


@pytest.mark.parametrize("stores", [0, 1, 2, 3])
def test_killed_while_it_completes_a_ticket(stores: int):
    block = Forged()
    block.control.restore_completed(0, 40)
    assert block.control.take(0) == 0
    line = LINES  # of worker 0
    for offset, value in [(line + COMPLETING, 41), (held(0), -1), (line + COMPLETED, 41)][:stores]:
        block.put(offset, value)
    is_done = stores >= 2
    assert block.control.mark_dead(0, 1.0)
    assert block.control.mark_dead(0, 1.0), "a second time changes nothing"
    assert block.control.completed(0) == (41 if is_done else 40)
    block.done += [0] * is_done
    assert block.finish(0, 1) == list(range(TOTAL))
    assert sum(map(block.control.completed, range(3))) == 40 + TOTAL


def test_the_death_of_a_worker_that_holds_another_ones_lock_is_not_waited_for():
    block = Forged()
    assert block.control.take(0) == 0
    is_held, may_go = threading.Event(), threading.Event()
    threads: list[int] = []

    def hold() -> None:
        LIBC.pthread_mutex_lock(ctypes.c_void_p(block.address + TICKETS))
        threads.append(threading.get_native_id())
        is_held.set()
        may_go.wait()
        LIBC.pthread_mutex_unlock(ctypes.c_void_p(block.address + TICKETS))

    holder = threading.Thread(target=hold)
    holder.start()
    is_held.wait()
    assert not block.control.mark_dead(0, 0.01)
    assert not block.control.alive(0)
    assert block.control.outstanding() == [0], "read without the lock"
    assert block.control.lock_holders() == [("the lock of the tickets", threads[0])]
    may_go.set()
    holder.join()
    assert block.control.mark_dead(0, 0.01)
    assert block.control.take(1) == 0
    assert block.control.lock_holders() == []


def test_a_fresh_block_names_no_holder_and_an_owner_of_the_model_lock_is_named():
    control = block(2)
    assert control.lock_holders() == []
    control.lock_model(1)
    assert control.lock_holders() == [("the lock of the model", threading.get_native_id())]
    control.unlock_model()
    assert control.lock_holders() == []
