"""What travels: both ends decode the same, and what int8 loses comes later."""

from __future__ import annotations

import math

import pytest
import torch

from hogwild.boxes.wire import F32, WIRES, Int8
from hogwild.kernels.wire import BLOCK, SCALE_BYTES


class End:
    """One end of a link."""

    def __init__(self, wire, values: torch.Tensor) -> None:
        self.wire = wire(len(values))
        self.x = values.clone()
        self.own, self.peer, self.flux = (torch.full_like(values, float(k)) for k in range(7, 10))
        self.wire.reset(self.own, self.peer)


def swap(a: End, b: End) -> None:
    """One exchange, and the flux of both ends."""
    packets = [end.wire.encode(end.x, end.own).clone() for end in (a, b)]
    for end, packet in ((a, packets[1]), (b, packets[0])):
        room = end.wire.room(end.peer)
        room.copy_(packet)
        assert end.wire.decode(room, end.own, end.peer, end.flux) == 0
    assert torch.equal(a.own, b.peer)
    assert torch.equal(b.own, a.peer)
    assert torch.equal(a.flux, (a.peer - a.own) / 2)
    assert torch.equal(a.flux, -b.flux)
    for end in (a, b):
        end.x += end.flux


def test_int8_sends_what_is_missing():
    a, b = End(Int8, torch.tensor([1.0, -0.5, 0.25])), End(Int8, torch.zeros(3))
    spreads, codes = [], []
    for _ in range(3):
        swap(a, b)
        spreads.append(float((a.x - b.x).abs().max()))
        codes.append([end.wire._sent[SCALE_BYTES:].view(torch.int8)[:3].tolist() for end in (a, b)])
        assert torch.allclose(a.x + b.x, torch.tensor([1.0, -0.5, 0.25]), rtol=0, atol=1e-7)
    assert codes[0] == [[127, -64, 32], [0, 0, 0]]
    assert spreads[0] == pytest.approx(0.003937, abs=1e-6)
    assert spreads[1] == pytest.approx(0.0019685, abs=1e-6)
    assert spreads[2] == pytest.approx(0.0, abs=2e-7)


@pytest.mark.parametrize("name", WIRES)
def test_models_agree_after_some_exchanges(name: str):
    generator = torch.Generator().manual_seed(3)
    n = 2 * BLOCK + 77
    a, b = (End(WIRES[name], torch.randn(n, generator=generator)) for _ in range(2))
    before = (a.x.double() + b.x.double()).clone()
    for _ in range(8):
        swap(a, b)
    assert float((a.x - b.x).abs().max()) < 1e-6
    assert float((a.x.double() + b.x.double() - before).abs().max()) < 1e-5


def test_packets_have_the_sizes_that_are_promised():
    x = torch.ones(16 * BLOCK)
    sizes = {name: wire(len(x)).encode(x, torch.zeros_like(x)).nbytes / len(x) for name, wire in WIRES.items()}
    assert sizes["f32"] == 4
    assert sizes["int8"] == pytest.approx(1.004, abs=1e-3)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_number_that_is_not_finite_is_seen_by_both_ends(bad: float):
    for wire in (F32, Int8):
        a, b = End(wire, torch.tensor([1.0, bad, 2.0])), End(wire, torch.zeros(3))
        packet = a.wire.encode(a.x, a.own)
        b.wire.room(b.peer).copy_(packet)
        assert b.wire.decode(b.wire.room(b.peer), b.own, b.peer, b.flux) > 0
        assert not torch.isfinite(a.own).all()
        assert not torch.isfinite(b.peer).all()


def test_a_block_without_a_difference_is_sent_as_zeros():
    end = End(Int8, torch.zeros(5))
    end.wire.encode(end.x, end.own)
    assert torch.equal(end.own, torch.zeros(5))
