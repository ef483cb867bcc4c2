"""Algorithms with a center and rounds between boxes over loopback: as in the simulator, whatever is cut or killed."""

from __future__ import annotations

import pytest
import torch
from loopback import MADE, WAIT_S, Box, Server, linked, until
from slow import slow

from hogwild.boxes.header import Flag
from hogwild.boxes.ledger import Phase

LR, CURVATURES, MINIMA = 0.1, (1.0, 3.0, 0.5), (1.0, -1.0, 2.0)


def boxes_of(server: Server, count: int, name: str, options: str | None = None, n: int = 1, **more) -> list[Box]:
    boxes = [Box(server, b, count, torch.zeros(n), between=(name, options), **more) for b in range(count)]
    MADE.extend(boxes)
    linked(*boxes)
    for box in boxes:
        box.text.begin(joins=False)
        box.announced = [peer.announce() for peer in box.peers.values()]
    until(lambda: all(Flag.BEGUN in p.seen.flags for box in boxes for p in box.peers.values()), "all have begun")
    return boxes


def update(box: Box, count: int = 1) -> None:
    """Plain steps of box b on f_b = h_b / 2 (x - c_b)^2, the same for every element."""
    for _ in range(count):
        box.x -= LR * CURVATURES[box.number] * (box.x - MINIMA[box.number])
        box.versions.version += 1


def settled(*boxes: Box) -> None:
    """The round that they are in has been made by all."""

    def polled() -> bool:
        for box in boxes:
            box.text.poll()
        return not any(box.text.is_busy for box in boxes)

    until(polled, "the round is over")


def values(boxes: list[Box]) -> list[float]:
    return [float(box.x[0]) for box in boxes]


@pytest.mark.parametrize(("dtype", "close"), [(torch.float32, 1e-6), slow((torch.float64, 1e-12))])
def test_easgd_with_owners(server: Server, dtype: torch.dtype, close: float):
    """The numbers of the simulator: tests/boxes/test_outer_texts.py. Each box owns a part, of which element 33 is one
    of box 1.
    """
    boxes = boxes_of(server, 2, "easgd", "alpha=0.25", n=40, dtype=dtype)
    found = []
    for _ in range(3):
        for box in boxes:
            update(box, 2)
            box.text.exchange()
        assert all(float(box.x[0]) == float(box.x[33]) for box in boxes)
        found.append([*values(boxes), float(boxes[0].text.view.x[0]), float(boxes[1].text.view.x[33])])
    assert found[0] == pytest.approx([0.1425, -0.370625, -0.091875, -0.091875], abs=close)
    assert found[1][:3] == pytest.approx([0.2061, -0.5168421875, -0.1673140625], abs=close)
    assert found[2][:3] == pytest.approx([0.225877234375, -0.581502078125, -0.218000890625], abs=close)
    assert boxes[0].memory.counted("exchanges") == 3


def test_async_diloco_with_owners(server: Server):
    boxes = boxes_of(server, 2, "async-diloco", "outer_every=2,outer_lr=0.7,outer_momentum=0.9", n=40)
    for _ in range(2):
        for box in boxes:
            update(box, 2)
            call = box.text.view._owned.exchange

            def meanwhile(sent, room, box=box, call=call):
                reached = call(sent, room)
                update(box)
                return reached

            box.text.view._owned.exchange = meanwhile
            box.text.exchange()
            box.text.view._owned.exchange = call
    assert values(boxes) == pytest.approx([-0.05870625, -0.550929855], abs=1e-6)
    assert float(boxes[1].x[33]) == float(boxes[1].x[0])


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        slow(("local-sgd", None, [-0.1 / 3] * 3)),
        slow(("slowmo", "outer_momentum=0.5", [-0.1 / 3] * 3)),
        ("diloco", "outer_lr=0.7,outer_momentum=0.9", [-0.1 / 3 * 0.7 * 1.9] * 3),
        slow(("easgd-sync", "alpha=0.25", [0.075, -0.225, 0.075])),
        ("d-psgd", "topology=ring,self_weight=0.5", [0.0, -0.1, 0.0]),
    ],
)
def test_a_round_of_three(server: Server, name: str, options: str | None, expected: list[float]):
    """From 0 to (.1, -.3, .1), whose mean is -1 / 30."""
    boxes = boxes_of(server, 3, name, options)
    for box, value in zip(boxes, (0.1, -0.3, 0.1), strict=True):
        box.x.fill_(value)
        box.text.exchange()
    settled(*boxes)
    assert values(boxes) == pytest.approx(expected, abs=1e-6)
    assert [box.text.ledger.applied for box in boxes] == [1, 1, 1]


def test_what_a_box_does_in_a_round_stays(server: Server):
    boxes = boxes_of(server, 2, "local-sgd")
    for number in range(3):
        boxes[0].x.fill_(0.5)
        boxes[1].x.fill_(-0.25)
        boxes[0].text.exchange()
        boxes[0].x += 1.0
        boxes[1].text.exchange()
        settled(*boxes)
        assert values(boxes) == pytest.approx([1.125, 0.125])
        assert boxes[0].text.ledger.applied == number + 1


def test_a_courier_that_is_killed_in_a_round_or_in_a_call_goes_on_with_it(server: Server):
    """The next courier begins with what lies in memory."""
    boxes = boxes_of(server, 2, "local-sgd")
    boxes[0].x.fill_(0.5)
    boxes[1].x.fill_(-0.25)
    boxes[0].text.exchange()
    assert boxes[0].text.ledger.phase is Phase.TAKEN
    restart(boxes[0])
    assert boxes[0].text.is_busy
    boxes[1].text.exchange()
    settled(*boxes)
    assert values(boxes) == pytest.approx([0.125, 0.125])


@pytest.mark.parametrize(
    ("between", "options", "expected"),
    [("local-sgd", None, 0.125), ("d-psgd", "topology=ring", 0.5), slow(("easgd-sync", "alpha=0.25", 0.5))],
)
def test_a_courier_that_is_killed_when_a_round_is_decided(server: Server, between: str, options, expected: float):
    """The others have counted its snapshot. If the text starts from the center it gets the flux of the round; else it
    stays where it is.
    """
    boxes = boxes_of(server, 2, between, options)
    boxes[0].x.fill_(0.5)
    boxes[1].x.fill_(-0.25)
    for box in boxes:
        box.text.exchange()
    until(lambda: boxes[0].text._gathering.poll() or boxes[1].text.poll(), "it is decided")
    settled(boxes[1])
    restart(boxes[0])
    settled(*boxes)
    assert float(boxes[0].x[0]) == pytest.approx(expected)
    assert [box.text.ledger.applied for box in boxes] == [1, 1]


@pytest.mark.parametrize("between", ["downpour", "local-sgd"])
def test_a_model_that_is_not_finite_reaches_nobody(server: Server, between: str):
    boxes = boxes_of(server, 2, between, n=40)
    boxes[0].x[7] = torch.nan
    boxes[1].x.fill_(0.5)
    for box in reversed(boxes):
        box.text.exchange()
    settled(*boxes)
    assert boxes[0].memory.counted("exchanges_nonfinite") == 1
    expected = 0.5 if between == "downpour" else 0.25
    assert float(boxes[0].text.view.x[7]) == expected
    assert float(boxes[1].x[7]) == expected


def restart(box: Box) -> None:
    """Its courier is killed: the links end, and the next one has the same memory."""
    threads = list(box.peers.values())
    box.text._gathering._number = None
    box.leave()
    for thread in threads:
        thread.join(WAIT_S)
    box.connect()
    linked(box)
    for peer in box.peers.values():
        peer.announce()
    box.text.begin(joins=False)


def test_a_call_that_is_made_again_counts_once(server: Server):
    """The answer is lost, and the next courier calls again with the same number."""
    boxes = boxes_of(server, 2, "easgd", "alpha=0.25", n=40)
    boxes[0].x.fill_(1.0)
    apply, boxes[0].text._apply = boxes[0].text._apply, lambda: None
    boxes[0].text.exchange()
    boxes[0].text._apply = apply
    assert float(boxes[1].text.view.x[33]) == 0.25
    restart(boxes[0])
    assert float(boxes[0].x[33]) == 0.75
    assert float(boxes[1].text.view.x[33]) == 0.25
    assert boxes[0].text.ledger.applied == 1


def test_the_part_of_an_owner_that_is_gone_is_taken_over(server: Server):
    boxes = boxes_of(server, 3, "downpour", n=96, timeout_s=1.0)
    for box in boxes:
        update(box)
        box.text.exchange()
    center = float(boxes[2].text.view.x[40])  # owned by box 1
    boxes[1].flags |= Flag.FINISHED
    boxes[1].leave()
    until(lambda: all(boxes[b].peers[1].is_gone for b in (0, 2)), "it is gone")
    before = float(boxes[0].x[40])
    boxes[0].x += 0.125
    boxes[0].text.exchange()  # box 2 is the next one, and goes on from the answer that it has had
    assert float(boxes[2].text.view.x[40]) == pytest.approx(center + before + 0.125 - before, abs=1e-6)
    assert float(boxes[0].x[40]) == float(boxes[2].text.view.x[40])


def test_a_box_that_was_cut_off_takes_the_center_of_the_others(server: Server):
    """Two rounds are made without box 2; it has no link then."""
    boxes = boxes_of(server, 3, "slowmo", timeout_s=2.0)
    for peer in boxes[2].peers.values():
        peer.flags_seen = peer.seen.flags
    boxes[2].flags |= Flag.FINISHED  # the others do not wait for it
    for peer in boxes[2].peers.values():
        peer.announce()
    until(lambda: all(Flag.FINISHED in boxes[b].peers[2].seen.flags for b in (0, 1)), "they know")
    for value in (0.5, 0.25):
        for box in boxes[:2]:
            box.x += value
            box.text.exchange()
        settled(*boxes[:2])
    boxes[2].flags &= ~Flag.FINISHED
    for peer in boxes[2].peers.values():
        peer.announce()
    until(lambda: all(Flag.FINISHED not in boxes[b].peers[2].seen.flags for b in (0, 1)), "they know")
    boxes[2].x += 1.0
    for box in boxes:
        box.text.exchange()
    settled(*boxes[2:])  # it was behind: it has not been a member of these rounds
    assert boxes[2].text.ledger.applied == 2
    assert torch.equal(boxes[2].text.view.x, boxes[0].text.view.x)
    assert float(boxes[2].x[0]) == 1.0  # what it has done is in the next round
    boxes[2].text.exchange()
    settled(*boxes)
    assert [box.text.ledger.applied for box in boxes] == [3, 3, 3]
    assert len({float(box.x[0]) for box in boxes}) == 1
