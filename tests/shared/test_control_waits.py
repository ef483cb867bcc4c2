"""The control block: barrier, joining and gate. Threads stand in for processes: every wait releases the GIL."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from control_blocks import WAIT_S, block, together


def test_no_worker_passes_a_barrier_before_all_have_arrived():
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


def test_a_barrier_does_not_wait_for_a_dead_worker():
    control = block(3)
    for rank in range(3):
        control.join(rank, 1, WAIT_S)
    generations = [control.arrive(rank) for rank in (0, 1)]
    assert not control.wait_barrier(0, generations[0], 0.01)
    control.mark_dead(2, 1.0)
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
        assert others.get(generation, present) == present, "the workers disagree on the participants"


def test_a_closed_gate_admits_no_worker_and_drains():
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


def test_old_arrivals_do_not_count_after_all_had_left_and_one_returns():
    control = block(3)
    for rank in range(3):
        assert control.join(rank, 2, WAIT_S)
    for _ in range(4):
        for rank in range(3):
            generation = control.arrive(rank)
    assert control.participants(generation) == [0, 1, 2]
    control.mark_dead(2, 1.0)
    control.leave(0)
    control.leave(1)
    assert control.join(0, 2, WAIT_S)  # for the ticket of the dead one
    again = control.arrive(0)
    assert again > generation
    assert control.wait_barrier(0, again, WAIT_S)
    assert control.participants(again) == [0]


def test_joining_waits_for_the_round_of_the_others_and_no_longer():
    control = block(2)
    assert control.join(0, 2, WAIT_S)
    control.arrive(0)  # in the middle of its round
    for _ in range(5):
        assert not control.join(1, 2, 0.0)
    for _ in range(3):
        assert control.wait_barrier(0, control.arrive(0), 0.0), "a worker that has not joined yet blocks the others"
        if control.join(1, 2, 0.0):
            break
    else:
        pytest.fail("it never catches up with the round that it waits for")
    assert control.arrive(0) == control.arrive(1)
