"""Two and more boxes over loopback: exchanges conserve the sum, agree, and never wait for one another."""

from __future__ import annotations

import pytest
import torch
from loopback import MADE, Box, Server, boxes_of, exchange, linked, spread, until

from hogwild.boxes.header import Kind, Part


def test_an_exchange_keeps_what_is_written_meanwhile(server: Server):
    """x_0 = (4, -2), x_1 = (0, 6); while the snapshots travel, box 0 adds (1, -.5) and box 1 adds (.25, 0)."""
    boxes = [Box(server, b, 2, torch.tensor(values)) for b, values in enumerate(([4.0, -2.0], [0.0, 6.0]))]
    MADE.extend(boxes)
    linked(*boxes)
    added = torch.tensor([1.0, -0.5]), torch.tensor([0.25, 0.0])
    for box, amount in zip(boxes, added, strict=True):
        encode = box.exchange.wire.encode

        def encoded(x, own, encode=encode, amount=amount):
            packet = encode(x, own)
            x[:2] += amount
            return packet

        box.exchange.wire.encode = encoded
    exchange(boxes[0], 1)
    until(lambda: boxes[1].memory.counted("exchanges") == 1, "the other side applies too")
    assert boxes[0].x[:2].tolist() == [3.0, 1.5]
    assert boxes[1].x[:2].tolist() == [2.25, 2.0]


PERIODS = {
    1: {1: (-0.079, -0.307), 2: (-0.179811, -0.369081), 4: (-0.254687870601, -0.439979214159)},
    0: {1: (-0.193,) * 2, 2: (-0.296448,) * 2, 3: (-0.351896128,) * 2, 4: (-0.381616324608,) * 2},
}


@pytest.mark.parametrize("overlap", PERIODS)
def test_ad_psgd_between_two_boxes(server: Server, overlap: int):
    """f_b = h_b / 2 (x - c_b)^2, h = (1, 3), c = (1, -1), lr 0.1, x = 0; 3 updates a period, `overlap` of them while
    the snapshots travel.
    """
    boxes = [Box(server, b, 2, torch.zeros(1)) for b in range(2)]
    MADE.extend(boxes)
    linked(*boxes)

    def update(box: Box) -> None:
        h, c = ((1.0, 1.0), (3.0, -1.0))[box.number]
        box.x[0] -= 0.1 * h * (box.x[0] - c)

    for box in boxes:
        encode = box.exchange.wire.encode

        def encoded(x, own, box=box, encode=encode):
            packet = encode(x, own)
            for _ in range(overlap):
                update(box)
            return packet

        box.exchange.wire.encode = encoded
    for period in range(1, 5):
        for box in boxes:
            for _ in range(3 - overlap):
                update(box)
        exchange(boxes[period % 2], 1 - period % 2)
        until(lambda: all(box.memory.counted("exchanges") == period for box in boxes), "both sides apply")  # noqa: B023
        if period in PERIODS[overlap]:
            expected = PERIODS[overlap][period]
            assert [float(box.x[0]) for box in boxes] == pytest.approx(expected, abs=2e-6)


def test_float64_travels_whole(server: Server):
    """x_0 - x_1 has more digits than a float32."""
    boxes = [Box(server, b, 2, torch.zeros(5), dtype=torch.float64) for b in range(2)]
    MADE.extend(boxes)
    linked(*boxes)
    boxes[0].x[:5] = torch.tensor([1 / 3, 1.0, 2.0, 1e-12, 3.0], dtype=torch.float64)
    half = boxes[0].x / 2
    exchange(boxes[0], 1)
    until(lambda: boxes[1].memory.counted("exchanges") == 1, "the other side applies too")
    assert torch.equal(boxes[1].x, half)


def test_offers_that_cross_are_one_exchange(server: Server):
    boxes = boxes_of(server)
    peers = [boxes[0].peers[1], boxes[1].peers[0]]
    with peers[0]._mutex, peers[1]._mutex:  # neither thread can consider an offer before both are sent
        for box, peer in zip(boxes, peers, strict=True):
            assert box.exchange.busy.acquire(blocking=False)
            peer._has_offered = True
            peer._answered.clear()
            peer._link.post(peer._header(Kind.OFFER, 1))
    for peer in peers:
        assert peer._answered.wait(60)
    assert [box.memory.counted("exchanges") for box in boxes] == [1, 1]
    assert spread(boxes) < 1e-6


def test_a_box_in_an_exchange_says_busy_and_nobody_waits(server: Server):
    boxes = boxes_of(server, 3)
    with boxes[2].exchange.busy:
        until(boxes[0].peers[2].begin, "an offer")
        assert boxes[0].memory.counted("exchanges_refused") == 1
        assert not boxes[2].peers[0].begin()  # it offers nothing either
        exchange(boxes[0], 1)
    exchange(boxes[0], 2)
    assert boxes[0].memory.counted("exchanges") == 2


def test_a_vector_that_is_not_finite_reaches_nobody(server: Server):
    boxes = boxes_of(server)
    healthy = boxes[1].x.clone()
    boxes[0].x[7] = torch.nan
    assert boxes[0].peers[1].begin()
    until(lambda: boxes[1].memory.counted("exchanges_nonfinite") == 1, "it is noticed")
    assert torch.equal(boxes[1].x, healthy)
    boxes[0].x[7] = 0.5
    exchange(boxes[0], 1)
    until(lambda: spread(boxes) < 1e-6, "the next exchange is as usual")


def test_the_model_can_be_fetched(server: Server):
    boxes = boxes_of(server)
    for part in (Part.MODEL, Part.MODEL_AT_REST):
        room = torch.zeros_like(boxes[0].x)
        assert boxes[0].peers[1].fetch(room, part)
        assert torch.equal(room, boxes[1].x)


@pytest.mark.parametrize("wire", ["f32", "int8"])
def test_a_cut_link_is_made_again_and_loses_nothing(server: Server, wire: str):
    """The side that applies is stopped before it does so, and the link is cut: the other side is ahead by one."""
    boxes = boxes_of(server, wire=wire)
    before = sum(box.x.double() for box in boxes)
    apply, is_cut = boxes[1].exchange._apply, []

    def cut(ledger, j, nonfinite):
        if not is_cut:
            is_cut.append(True)
            raise RuntimeError("cut")
        apply(ledger, j, nonfinite)

    boxes[1].exchange._apply = cut
    assert boxes[0].peers[1].begin()
    until(lambda: (1, "lost") in boxes[0].events or (0, "lost") in boxes[1].events, "the cut is noticed")
    linked(*boxes)
    until(lambda: all(box.peers[1 - box.number].ledger.applied == 1 for box in boxes), "it is applied")
    after = sum(box.x.double() for box in boxes)
    assert float((after - before).abs().max()) < 1e-6
    assert spread(boxes) < (1e-6 if wire == "f32" else 0.1)


def test_a_box_that_does_not_fit_is_refused_by_name(server: Server):
    boxes = [Box(server, b, 2, torch.ones(33), start=b) for b in range(2)]
    MADE.extend(boxes)
    until(lambda: all((1 - box.number, "refused") in box.events for box in boxes), "both are told")
    assert not any(peer.is_up for box in boxes for peer in box.peers.values())


def test_squared_spread_falls_by_one_over_n_minus_one():
    """Random pairs of n boxes: E sum ||x_b - mean||^2 falls by 1 - 1 / (n - 1) in each exchange."""
    generator = torch.Generator().manual_seed(0)
    for n in (4, 8):
        x = torch.randn(4000, n, generator=generator, dtype=torch.float64)
        before = (x - x.mean(1, keepdim=True)).square().sum()
        pairs = torch.stack([torch.randperm(n, generator=generator)[:2] for _ in range(4000)])
        ours, theirs = x.gather(1, pairs[:, :1]), x.gather(1, pairs[:, 1:])
        flux = (theirs - ours) / 2
        x.scatter_add_(1, pairs, torch.cat([flux, -flux], 1))
        after = (x - x.mean(1, keepdim=True)).square().sum()
        assert float(after / before) == pytest.approx(1 - 1 / (n - 1), rel=0.03)
