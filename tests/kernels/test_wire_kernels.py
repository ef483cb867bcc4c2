"""The 8-bit wire: against the oracle, what it loses comes later, and the same bits on all processors."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from kernel_cases import SIZES

from hogwild import reference
from hogwild.kernels import build_info, use_isa
from hogwild.kernels.wire import BLOCK, SCALE_BYTES, decode, encode, packet_bytes

ALL_SIZES = (*SIZES, BLOCK - 1, BLOCK, 3 * BLOCK + 1)
SMALLEST = 127 * 2.0**-126  # difference that is sent


def vectors(n: int, count: int, seed: int | None = None) -> list[torch.Tensor]:
    """Of N(0, 1), each block with a magnitude of its own. A fresh seed is in the message of a test that fails."""
    seed = torch.seed() % 2**32 if seed is None else seed
    print(f"seed {seed}")
    generator = torch.Generator().manual_seed(seed)
    sizes = 10.0 ** torch.randint(-4, 4, (-(-n // BLOCK),), generator=generator).repeat_interleave(BLOCK)[:n]
    return [torch.randn(n, generator=generator) * sizes for _ in range(count)]


def packet_of(n: int) -> torch.Tensor:
    return torch.full((packet_bytes(n),), 99, dtype=torch.uint8)


def parts(packet: torch.Tensor, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(scales [blocks], codes [blocks BLOCK]) of a packet."""
    split = -(-n // BLOCK) * SCALE_BYTES
    return packet[:split].view(torch.float32), packet[split:].view(torch.int8)


@pytest.mark.parametrize("n", ALL_SIZES)
def test_a_packet_is_that_of_the_oracle(n):
    x, own = vectors(n, 2)
    expected, packet = own.double().numpy(), packet_of(n)
    exact, wanted = reference.encode(x.double().numpy(), expected)
    encode(x, own, packet)
    scales, codes = parts(packet, n)
    np.testing.assert_allclose(scales.numpy(), wanted, rtol=1e-6)
    assert not codes[n:].any()
    tie = np.abs(np.abs(exact - np.rint(exact)) - 0.5) < 1e-3  # of which float32 may round the other way
    assert np.array_equal(codes[:n].numpy()[~tie], np.rint(exact)[~tie])
    assert np.abs(codes[:n].numpy() - exact).max() < 0.501
    steps = np.repeat(wanted, BLOCK)[:n]
    close = 2e-5 * steps + 1e-6 * np.abs(expected) + tie * steps  # the scale and 127 of it are both rounded
    assert bool((np.abs(own.numpy() - expected) <= close).all())


@pytest.mark.parametrize("n", ALL_SIZES)
def test_a_packet_is_decoded_as_by_the_oracle(n):
    x, known, other = vectors(n, 3)
    peer, flux, packet, own = known.clone(), torch.full((n,), 7.0), packet_of(n), known.clone()
    encode(x, own, packet)
    scales, codes = (part.double().numpy() for part in parts(packet, n))
    expected, wanted = peer.double().numpy(), np.zeros(n)
    reference.decode(codes[:n], scales, other.double().numpy(), expected, wanted)
    assert decode(packet, other, peer, flux) == 0
    assert torch.equal(peer, own), "both ends know the same"
    close = 1e-5 * np.repeat(scales, BLOCK)[:n] + 1e-6 * np.abs(expected)  # what was known and a difference may cancel
    assert bool((np.abs(peer.numpy() - expected) <= close).all())
    assert bool((np.abs(flux.numpy() - wanted) <= close + 1e-6 * np.abs(other.numpy())).all())


@pytest.mark.parametrize("n", [17, 4099])
def test_what_was_sent_and_what_is_left_are_all_differences(n):
    """A model moves for 20 exchanges; the messages add up to it, but for what the next one will send."""
    x, *moves = vectors(n, 21)
    own, peer, sent = torch.zeros(n), torch.zeros(n), torch.zeros(n, dtype=torch.float64)
    packet, flux = packet_of(n), torch.empty(n)
    largest = x.abs()
    for move in moves:
        x += move
        encode(x, own, packet)
        decode(packet, own, peer, flux)
        scales, codes = parts(packet, n)
        sent += (codes.view(-1, BLOCK).double() * scales.double()[:, None]).view(-1)[:n]
        largest = torch.maximum(largest, x.abs())
        assert torch.equal(peer, own)
        assert not flux.any()
    left = x.double() - own.double()
    assert bool(((sent + left - x.double()).abs() <= 40 * 2**-24 * largest.double().max()).all())
    assert bool((left.abs() <= 0.501 * scales.double().repeat_interleave(BLOCK)[:n] + 1e-6 * largest.double()).all())


def test_the_fluxes_of_two_boxes_are_opposite_to_the_bit():
    n = 4099
    x = vectors(n, 2)
    known, packets, fluxes = [torch.zeros(n) for _ in x], [packet_of(n) for _ in x], [torch.empty(n) for _ in x]
    for _ in range(2):
        peers = [value.clone() for value in known]
        for mine, value, packet in zip(x, known, packets, strict=True):
            encode(mine, value, packet)
        for k in (0, 1):
            decode(packets[1 - k], known[k], peers[1 - k], fluxes[k])
        assert torch.equal(fluxes[0], -fluxes[1])
        x = [mine + flux for mine, flux in zip(x, fluxes, strict=True)]


def test_every_instruction_set_gives_the_same_bits():
    before, results, seed = str(build_info()["isa_in_use"]), [], torch.seed() % 2**32
    try:
        for isa in build_info()["isa"]:
            use_isa(isa)
            x, own, peer = vectors(9_001, 3, seed)
            flux, packet = torch.empty(9_001), packet_of(9_001)
            encode(x, own, packet)
            decode(packet, own, peer, flux)
            results.append((packet, own, peer, flux))
    finally:
        use_isa(before)
    for other in results[1:]:
        assert all(torch.equal(got, want) for got, want in zip(other, results[0], strict=True))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [0, 16, BLOCK + 500])
def test_a_block_that_is_not_finite_is_so_at_both_ends(bad, place):
    n = 2 * BLOCK + 3
    x, own = vectors(n, 2)
    x[place] = bad
    peer, flux, packet = own.clone(), torch.empty(n), packet_of(n)
    encode(x, own, packet)
    block = place // BLOCK
    scales, codes = parts(packet, n)
    assert scales.isnan().tolist() == [k == block for k in range(3)]
    assert not codes.view(-1, BLOCK)[block].any()
    assert decode(packet, torch.zeros(n), peer, flux) == BLOCK
    assert torch.equal(peer.isnan(), own.isnan())
    assert own.isnan().nonzero().flatten().tolist() == list(range(block * BLOCK, (block + 1) * BLOCK))


@pytest.mark.parametrize(("d", "is_sent"), [(0.0, False), (SMALLEST / 2, False), (SMALLEST, True), (3e38, True)])
def test_the_smallest_and_the_largest_differences(d: float, is_sent: bool):
    x, own, packet = torch.tensor([d, -d / 2, d / 4]), torch.zeros(3), packet_of(3)
    encode(x, own, packet)
    scales, codes = parts(packet, 3)
    assert codes[:3].tolist() == ([127, -64, 32] if is_sent else [0, 0, 0])
    assert torch.allclose(own, x if is_sent else torch.zeros(3), rtol=0.02, atol=0)
    assert scales.isfinite().all()


def test_arguments():
    x, own, packet = torch.ones(5), torch.zeros(5), packet_of(5)
    with pytest.raises(ValueError, match=r"x is torch\.float64 on cpu: the 8-bit wire is for float32 on the CPU"):
        encode(x.double(), own.double(), packet)
    with pytest.raises(ValueError, match=r"packet is torch\.uint8 \(1027,\) on cpu: 5 elements need contiguous uint8"):
        encode(x, own, packet[1:])
    with pytest.raises(ValueError, match="own has 6 elements, x has 5"):
        encode(x, torch.zeros(6), packet)
    with pytest.raises(ValueError, match="own and x overlap in memory"):
        encode(x, x, packet)
    with pytest.raises(ValueError, match="overlap in memory"):
        decode(packet, own, x, x)
