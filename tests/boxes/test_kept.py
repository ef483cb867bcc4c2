"""What a box keeps in its checkpoints: with it, boxes go on as if nothing had happened."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest
import torch
from loopback import MADE, WAIT_S, Box, Server, linked, until
from slow import slow
from test_texts_over_links import boxes_of, settled, update, values

from hogwild.boxes.header import Flag
from hogwild.boxes.kept import Kept
from hogwild.boxes.made import Made
from hogwild.drivers.processes.trainer import Trainer
from hogwild.errors import CheckpointError


def kept(box: Box) -> Kept:
    """As it is read from a checkpoint."""
    return Kept.from_plain(Kept.of(7, Made.of([(0, 5)]), 1, box.memory, box._outer).plain())


def exchange(boxes: list[Box]) -> None:
    for box in boxes:
        update(box, 1 + box.number)
        box.text.exchange()
    settled(*boxes)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        slow(("easgd", "alpha=0.25")),
        slow(("downpour", None)),
        ("async-diloco", "outer_every=2,outer_lr=0.7,outer_momentum=0.9"),
        ("diloco", None),
        slow(("d-psgd", "topology=ring")),
    ],
)
def test_resumed_boxes_go_on_as_undisturbed_ones(server: Server, name: str, options: str | None):
    boxes = boxes_of(server, 2, name, options, n=40)
    for _ in range(3):
        exchange(boxes)
    saved, models = [kept(box) for box in boxes], [box.x.clone() for box in boxes]
    for _ in range(2):
        exchange(boxes)

    elsewhere = Server()
    again = [Box(elsewhere, b, 2, torch.zeros(40), between=(name, options)) for b in range(2)]
    MADE.extend(again)
    for box, state, x in zip(again, saved, models, strict=True):
        state.write_to(box.memory, box._outer)
        box.x.copy_(x)
    linked(*again)
    for box in again:
        box.text.begin(joins=False)
        for peer in box.peers.values():
            peer.announce()
    until(lambda: all(Flag.BEGUN in p.seen.flags for box in again for p in box.peers.values()), "all have begun")
    for _ in range(2):
        exchange(again)
    assert values(again) == values(boxes)
    assert [float(box.x[33]) for box in again] == [float(box.x[33]) for box in boxes]
    assert again[0].memory.counted("exchanges") == 5


def test_a_new_box_takes_the_center_of_a_resumed_one(server: Server):
    """Before that one has begun; and the parts of three boxes go on from what two have known."""
    boxes = boxes_of(server, 2, "downpour", n=96)
    exchange(boxes)
    state = kept(boxes[0])
    elsewhere = Server()
    again = [Box(elsewhere, b, 3, torch.zeros(96), between=("downpour", None)) for b in (0, 1)]
    MADE.extend(again)
    state.write_to(again[0].memory, again[0]._outer)
    again[0].flags, again[1].flags = Flag.RESUMED, Flag(0)
    peer = again[1].peers[0]
    until(lambda: peer.is_up and Flag.RESUMED in peer.seen.flags, "they meet")
    again[1].text.begin(joins=True)
    assert torch.equal(again[1].text.view.x, boxes[0].text.view.x)


def test_a_copy_in_the_midst_of_an_exchange_is_one_before_it(server: Server):
    """The owners have answered, and the gate is closed: nothing that is kept has changed."""
    boxes = boxes_of(server, 2, "downpour", n=40)
    exchange(boxes)
    before, center = kept(boxes[0]), boxes[1].text.view.x.clone()
    boxes[0].world.control.close_gate(0)
    update(boxes[0])
    thread = threading.Thread(target=boxes[0].text.exchange)
    thread.start()
    until(lambda: boxes[0].world.control.alive(1), "the owner has answered, and the exchange waits at the gate")
    assert not torch.equal(boxes[1].text.view.x, center)
    found = kept(boxes[0])
    assert found.exchanges == before.exchanges
    for name in ("x", "base"):
        assert torch.equal(found.buffers[name], before.buffers[name]), name
    boxes[0].world.control.open_gate()
    thread.join(WAIT_S)
    assert kept(boxes[0]).exchanges == before.exchanges + 1


def test_a_copy_waits_for_the_courier_when_the_worker_waits_for_the_copy(server: Server):
    """The one worker of a box is then outside the gate, but an exchange may be inside."""
    (box,) = boxes_of(server, 1, "downpour")
    box.exchange.enter()
    polls = []

    def once(_timeout_s: float) -> None:
        polls.append(1)
        if len(polls) == 3:
            box.exchange.leave()

    journal = SimpleNamespace(elapsed_s=lambda: 0.0)
    trainer = SimpleNamespace(
        _waiting=0, guests=1, gate=box.world.control, copy=lambda: len(polls), _is_overdue=lambda: False,
        watch=SimpleNamespace(once=once), job=SimpleNamespace(algorithm=SimpleNamespace(barriers_per_round=0)),
        report=SimpleNamespace(journal=journal, passed_gate=lambda *_: None),
    )  # fmt: skip
    assert Trainer._copy_between_updates(trainer, []) == 3


def test_a_checkpoint_of_another_kind_is_refused(server: Server):
    with pytest.raises(CheckpointError, match="the state of a box in the checkpoint"):
        Kept.from_plain({})
    (box,) = boxes_of(server, 1, "downpour", n=40)
    state = kept(box)
    state.buffers["base"] = torch.zeros(3)
    with pytest.raises(CheckpointError, match="base has 3 elements, not"):
        state.write_to(box.memory, box._outer)
