"""Gathered gradients in the control block: the waits of workers for updates, and the last gradient of a run."""

from __future__ import annotations

from control_blocks import WAIT_S, block, together

from hogwild.kernels.control import Control


def team(workers: int, tickets: int) -> Control:
    control = block(workers)
    control.assign(0, tickets, [])
    for rank in range(workers):
        control.join(rank, 0, 1.0)
        control.pulled(rank)
        control.take(rank)
    return control


def bring(control: Control, rank: int, *, taken: bool = True, waits: bool = True, nonfinite: int = 0) -> int:
    control.begin_push(rank, True)
    delay = control.gather(rank, taken, waits, nonfinite)
    control.end_gather(rank, True, 0.0, 0.0)
    return delay


def test_a_taken_gradient_completes_its_ticket_and_a_cancelled_one_keeps_it():
    control = team(3, 10)
    bring(control, 0)
    bring(control, 1, taken=False)
    bring(control, 2, taken=False, nonfinite=4)
    assert control.gathered == 1
    assert control.outstanding() == [1]
    assert [control.take(rank) for rank in range(3)] == [3, 1, 4]
    stats = [control.stats(rank) for rank in range(3)]
    assert [one["pushes"] for one in stats] == [1, 0, 0]
    assert [one["dropped"] for one in stats] == [0, 1, 0]
    assert [one["refused"] for one in stats] == [0, 0, 1]
    assert stats[2]["nonfinite"] == 4


def test_a_delay_counts_updates_between_the_pull_and_the_gathering():
    control = team(2, 10)
    assert bring(control, 0, waits=False) == 0
    control.commit(0)
    control.commit(0)
    assert bring(control, 1, waits=False) == 2
    assert bring(control, 0, waits=False) == 0, "the worker has read its own update"
    assert control.delays(1)[:3] == [0, 0, 1]
    assert control.version == 2


def test_the_last_gradient_of_a_run_is_known_under_the_lock():
    control = team(2, 3)  # both workers hold a ticket, one ticket is left
    bring(control, 0)
    assert not control.exhausted()
    control.take(0)
    bring(control, 1)
    assert not control.exhausted(), "worker 0 holds the last ticket"
    control.mark_dead(0, 1.0)
    assert not control.exhausted(), "the ticket must be assigned again"
    assert control.take(1) == 2
    bring(control, 1)
    assert control.exhausted()


def test_without_tickets_no_gradient_is_the_last():
    control = team(1, 0)
    bring(control, 0)
    assert not control.exhausted()


def test_a_waiting_worker_continues_with_the_update():
    control = team(2, 10)
    bring(control, 0)
    assert control.awaits_update(0)
    assert not control.wait_update(0, 0.01)

    def update() -> None:
        bring(control, 1)
        control.commit(1)

    together(update, lambda: _await(control, 0))
    assert not control.awaits_update(0)
    assert not control.awaits_update(1)
    assert control.gathered == 0


def test_waiting_workers_learn_that_no_worker_is_left_to_bring_the_update():
    control = team(3, 10)
    bring(control, 0)
    bring(control, 1)
    assert not control.all_await()
    together(lambda: control.mark_dead(2, 1.0), lambda: _await(control, 0), lambda: _await(control, 1))
    assert control.all_await()
    assert control.awaits_update(0)
    control.join(2, 0, 1.0)
    assert not control.all_await(), "a replaced worker may bring a gradient"


def test_a_stop_ends_the_waiting():
    control = team(2, 10)
    bring(control, 0)
    together(control.stop, lambda: _await(control, 0))
    assert control.awaits_update(0)
    assert control.gathered == 1


def _await(control: Control, rank: int) -> None:
    assert control.wait_update(rank, WAIT_S)
