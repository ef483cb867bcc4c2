"""The control block: tickets, barrier, gate, delays. Threads stand in for processes: every wait releases the GIL."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
import torch

from hogwild.kernels.control import Control

WAIT_S = 20.0


MEMORY: list[torch.Tensor] = []  # a Control does not own the block it looks at


def address_for(workers: int, stripes: int) -> int:
    MEMORY.append(torch.zeros(Control.bytes(workers, stripes) + 128, dtype=torch.uint8))
    return -(-MEMORY[-1].data_ptr() // 128) * 128


def block(workers: int) -> Control:
    return Control(address_for(workers, 1), workers, 1, create=True)


def together(*functions: Callable[[], None]) -> None:
    errors: list[BaseException] = []

    def guarded(function: Callable[[], None]) -> None:
        try:
            function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(function,), daemon=True) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
        assert not thread.is_alive(), "a worker hangs"
    if errors:
        raise errors[0]


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


def test_every_ticket_is_dealt_exactly_once():
    control = block(4)
    control.deal(0, 1000, [])
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


def test_the_ticket_of_a_dead_worker_is_dealt_again_first():
    control = block(3)
    control.deal(0, 10, [])
    assert [control.take(0), control.take(1), control.take(2)] == [0, 1, 2]
    control.complete(0)
    control.bury(1)
    assert control.outstanding() == [1, 2]
    assert control.take(0) == 1
    control.bury(2)
    control.bury(0)
    assert control.outstanding() == [1, 2]
    assert {control.take(1), control.take(1)} == {1, 2}
    assert control.take(1) == 3


def test_a_worker_without_work_waits_for_what_may_come_back():
    control = block(2)
    control.deal(0, 2, [])
    assert (control.take(0), control.take(1)) == (0, 1)
    control.complete(0)
    assert control.take(0) == -1
    assert not control.wait_for_work(0, 0.01)  # worker 1 still holds ticket 1
    assert control.outstanding() == [1]
    control.bury(1)
    assert control.wait_for_work(0, WAIT_S)
    assert control.take(0) == 1
    control.complete(0)
    assert not control.wait_for_work(0, WAIT_S)


def test_stopping_deals_nothing_more_but_remembers_what_is_left():
    control = block(1)
    control.deal(5, 10, [2])
    control.stop()
    assert control.take(0) == -1
    assert control.outstanding() == [2]


def test_more_tickets_to_deal_again_than_lines_is_refused():
    with pytest.raises(ValueError, match="more tickets"):
        block(1).deal(5, 10, [1, 2])


def test_delay_is_what_others_committed_since_the_own_pull():
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


def test_nobody_passes_a_barrier_before_all_have_come():
    control = block(4)
    rounds, log = 200, []
    for rank in range(4):
        assert control.join(rank, 1, WAIT_S)

    def work(rank: int) -> Callable[[], None]:
        def run() -> None:
            for number in range(rounds):
                log.append(number)
                generation = control.arrive(rank)
                assert control.wait_barrier(rank, generation, WAIT_S)
                assert control.participants(generation) == [0, 1, 2, 3]
            control.leave(rank)

        return run

    together(*[work(rank) for rank in range(4)])
    assert log == sorted(log), "a worker began a round before another had ended the one before"


def test_a_dead_worker_leaves_the_barrier_to_the_others():
    control = block(3)
    for rank in range(3):
        control.join(rank, 1, WAIT_S)
    generations = [control.arrive(rank) for rank in (0, 1)]
    assert not control.wait_barrier(0, generations[0], 0.01)
    control.bury(2)
    assert control.wait_barrier(0, generations[0], WAIT_S)
    assert control.participants(generations[0]) == [0, 1]


def test_a_new_worker_joins_at_the_end_of_a_round():
    control = block(3)
    for rank in (0, 1):
        control.join(rank, 2, WAIT_S)

    def rounds(rank: int, seen: list[list[int]], enough: Callable[[], bool]) -> Callable[[], None]:
        def run() -> None:
            while not enough():
                for _ in range(2):
                    generation = control.arrive(rank)
                    assert control.wait_barrier(rank, generation, WAIT_S)
                    present = control.participants(generation)
                seen.append([generation, *present])
            control.leave(rank)

        return run

    seen: list[list[list[int]]] = [[], [], []]

    def newcomer() -> None:
        assert control.join(2, 2, WAIT_S)
        rounds(2, seen[2], lambda: len(seen[2]) == 50)()

    def until_it_left() -> bool:
        return len(seen[2]) == 50

    together(rounds(0, seen[0], until_it_left), rounds(1, seen[1], until_it_left), newcomer)
    common = {generation: present for generation, *present in seen[2]}
    assert len(common) == 50
    assert all(generation % 2 == 0 for generation in common), "joined in the middle of a round"
    others = {generation: present for generation, *present in seen[0]}
    for generation, present in common.items():
        assert 2 in present
        assert others.get(generation, present) == present, "the workers disagree on who took part"


def test_a_closed_gate_lets_nobody_in_and_drains():
    control = block(2)
    for rank in (0, 1):
        control.join(rank, 0, WAIT_S)
    assert control.enter(0, WAIT_S)
    control.close_gate(0)
    assert not control.drained()
    assert not control.enter(1, 0.01)
    control.exit(0)
    assert control.drained()
    control.open_gate()
    assert control.enter(1, WAIT_S)


def test_a_gate_for_rounds_closes_between_two_rounds():
    control = block(3)
    shares = [0, 0, 0]
    stop = threading.Event()
    for rank in range(3):
        control.join(rank, 2, WAIT_S)

    def work(rank: int) -> Callable[[], None]:
        def run() -> None:
            while not stop.is_set():
                while not control.enter(rank, 0.05):
                    if stop.is_set():
                        break
                control.wait_barrier(rank, control.arrive(rank), WAIT_S)
                shares[rank] += 1
                control.wait_barrier(rank, control.arrive(rank), WAIT_S)
                control.exit(rank)
            control.leave(rank)

        return run

    def copy() -> None:
        try:
            for _ in range(100):
                control.close_gate(2)
                while not control.drained():
                    pass
                assert len(set(shares)) == 1, f"copied in the middle of a round: {shares}"
                control.open_gate()
        finally:
            stop.set()
            control.open_gate()

    together(*[work(rank) for rank in range(3)], copy)
    assert shares[0] > 0


def test_the_largest_lr_is_kept():
    control = block(1)
    assert [control.raise_lr_max(lr) for lr in (0.1, 0.3, 0.2)] == [0.1, 0.3, 0.3]
    assert control.lr_max == 0.3


def test_who_was_there_before_all_had_left_is_not_there_when_one_comes_back():
    control = block(3)
    for rank in range(3):
        assert control.join(rank, 2, WAIT_S)
    for _ in range(4):
        for rank in range(3):
            generation = control.arrive(rank)
    assert control.participants(generation) == [0, 1, 2]
    control.bury(2)
    control.leave(0)
    control.leave(1)
    assert control.join(0, 2, WAIT_S)  # for the ticket of the dead one
    again = control.arrive(0)
    assert again > generation
    assert control.wait_barrier(0, again, WAIT_S)
    assert control.participants(again) == [0]


def test_joining_takes_as_long_as_the_round_of_the_others_and_no_longer():
    control = block(2)
    assert control.join(0, 2, WAIT_S)
    control.arrive(0)  # in the middle of its round
    for _ in range(5):
        assert not control.join(1, 2, 0.0)
    for _ in range(3):
        assert control.wait_barrier(0, control.arrive(0), 0.0), "a worker that is yet to join holds up the others"
        if control.join(1, 2, 0.0):
            break
    else:
        pytest.fail("it never catches up with the round that it waits for")
    assert control.arrive(0) == control.arrive(1)
