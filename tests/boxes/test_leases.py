"""Leases: an epoch is one pass by all boxes, and what a box leaves undone is done by the others."""

from __future__ import annotations

import threading

import pytest
import torch
from loopback import Model, Server, until

from hogwild.boxes import leases
from hogwild.boxes.leases import Leases, publish_made
from hogwild.boxes.made import Made
from hogwild.boxes.part import INCARNATION_KEY
from hogwild.buffers import Buffer, Scope
from hogwild.shared.world import World

TOTAL = 300
NOTHING = Made()


class Box:
    """A box of one worker that computes nothing; leases are the parent's, and there is no courier."""

    def __init__(
        self, server: Server, number: int, boxes: int = 2, incarnation: int = 1, made: Made = NOTHING, *,
        joins: bool = False,
    ) -> None:  # fmt: skip
        self.world = World.create(Model(torch.ones(1)), {"x": Buffer(Scope.SHARED)}, 1)
        self.control = self.world.control
        self.control.assign(0, 0, [])
        self.control.lease(0, 0, True)
        rendezvous = server.rendezvous(number, boxes)
        rendezvous.store().add(f"{INCARNATION_KEY}/{number}", 1)
        self.gone: list[int] = []
        self.leases = Leases(self.control, rendezvous, TOTAL, 1, incarnation, 60.0, lambda: self.gone, made)
        self.leases.joins = joins
        self.leases.start()
        self.made: list[int] = []

    def work(self, most: int = TOTAL) -> None:
        while len(self.made) < most and (self.control.wait_for_work(0, 1.0) or self.control.open):
            if (ticket := self.control.take(0)) >= 0:
                self.made.append(self.control.number(ticket))
                self.control.complete(0)

    def die(self) -> None:
        """With a ticket in hand."""
        until(lambda: self.leases._done >= len(self.made), "what is done is told")
        until(lambda: self.control.take(0) >= 0, "it has a ticket in hand")
        self.control.stop()
        self.leases.join()


def test_workers_get_leases_without_a_courier():
    server = Server()
    box = Box(server, 0)
    box.work()
    box.leases.join()
    assert box.made == list(range(TOTAL))


def test_a_box_that_ends_first_tells_that_its_last_ticket_is_done():
    """Its worker has it in hand when nothing is left to be leased; others wait for it."""
    server = Server()
    box = Box(server, 0)
    box.work(TOTAL - 1)
    until(lambda: box.control.take(0) >= 0, "the last ticket is leased")
    until(lambda: not box.control.open, "nothing is left to be leased")
    assert box.leases._done < len(box.leases._mine)
    box.control.complete(0)
    box.leases.join()
    assert box.leases._done == len(box.leases._mine)


def work_together(*boxes: Box) -> None:
    threads = [threading.Thread(target=box.work) for box in boxes]
    for thread in threads:
        thread.start()
    for thread in [*threads, *(box.leases for box in boxes)]:
        thread.join()


def test_two_boxes_make_one_pass():
    server = Server()
    first, second = Box(server, 0), Box(server, 1)
    second.work(20)
    work_together(first, second)
    assert sorted(first.made + second.made) == list(range(TOTAL))


@pytest.mark.parametrize("comes_back", [False, True])
def test_the_blocks_of_a_box_that_is_gone_are_made_by_the_others(comes_back: bool):
    """If it comes back before the others know, it returns what it had itself."""
    server = Server()
    first, second = Box(server, 0), Box(server, 1)
    second.work(20)
    second.die()
    boxes = [first]
    if comes_back:
        boxes.append(Box(server, 1, incarnation=2))
    else:
        first.gone.append(1)
    work_together(*boxes)
    assert sorted(number for box in [*boxes, second] for number in box.made) == list(range(TOTAL))


def test_a_resumed_run_makes_what_no_box_has_made():
    """Each checkpoint knows other parts of it, and each box counts the same blocks. A third one joins later."""
    server = Server()
    known = [Made.of([(0, 40), (60, 61)]), Made.of([(30, 55), (298, 300)])]
    for number, made in enumerate(known):
        publish_made(server.rendezvous(number, 3), made)
    boxes = [Box(server, number, boxes=3, made=made) for number, made in enumerate(known)]
    until(lambda: all(box.leases._mine for box in boxes), "they lease")
    boxes.append(Box(server, 2, boxes=3, joins=True))
    work_together(*boxes)
    made = sorted(number for box in boxes for number in box.made)
    assert made == [*range(55, 60), *range(61, 298)]


def test_a_copy_knows_what_is_made(monkeypatch):
    """By this box to the ticket, by the others as they have told."""
    monkeypatch.setattr(leases, "LOOK_S", 0.0)
    server = Server()
    first, second = Box(server, 0), Box(server, 1)
    second.work(20)
    second.die()
    first.work(10)
    until(lambda: first.leases._others.count >= 20, "it has looked")
    until(lambda: first.control.take(0) >= 0, "it has a ticket in hand")
    assert first.leases.made(first.control.next, first.control.outstanding()) == Made.of(
        (number, number + 1) for number in [*first.made, *second.made]
    )
    first.control.stop()


def test_what_the_loops_of_a_box_leave_undone_is_made_by_the_others():
    server = Server()
    first, second = Box(server, 0), Box(server, 1)
    second.work(20)
    until(lambda: second.leases._done >= 20, "what is done is told")
    second.leases.give_up()
    second.leases.join()
    first.work()
    first.leases.join()
    assert sorted(first.made + second.made) == list(range(TOTAL))
