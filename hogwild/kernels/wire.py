"""The 8-bit wire between two boxes: snapshots as differences to what the other box knows (csrc/wire.h)."""

from __future__ import annotations

import torch
from torch import Tensor

from hogwild import _C
from hogwild.kernels import tensors

BLOCK = 1024
SCALE_BYTES = 4


def packet_bytes(n: int) -> int:
    """Of a packet for n elements: a float32 scale for each block of 1024, and a code for each element, padded to whole
    blocks. 1.004 bytes an element.
    """
    return -(-n // BLOCK) * (SCALE_BYTES + BLOCK)


def encode(x: Tensor, own: Tensor, packet: Tensor) -> None:
    """d = x - own;  m = max |d| of a block;  q = rint(d 127 / m);  own <- own + q m / 127

    The scales m / 127 and the codes q are the packet. `own` is what the other box knows of x: what is rounded away now
    is in the next difference (error feedback; CHOCO-SGD, Koloskova et al. 2019, arXiv:1902.00340). All instruction sets
    give the same bits.

    Args:    x, own: [n] float32 on the CPU.  packet: [packet_bytes(n)] uint8.
    Mutates: own, packet.
    Races:   x may be written by others; each of its elements is read once, and never torn.
    Edges:   a block with an element that is not finite has scale NaN and codes 0, and own becomes NaN there. Below
             m = 127 x 2^-126 a block is sent as zeros, so that all scales are normal numbers.
    Bytes:   13 an element.
    Raises:  ValueError if sizes, dtypes or devices differ from that, or two of them overlap.
    """
    _check({"x": x, "own": own}, packet)
    _C.wire_encode({"x": x.data_ptr(), "own": own.data_ptr(), "packet": packet.data_ptr(), "n": x.numel()})


def decode(packet: Tensor, own: Tensor, peer: Tensor, flux: Tensor) -> int:
    """peer <- peer + q m / 127;  flux <- (peer - own) / 2

    The other end of `encode`: peer becomes, to the bit, what `own` is there. The two boxes' fluxes are opposite to the
    bit. Returns the number of their elements that are not finite, the same for both.

    Args:    packet: [packet_bytes(n)] uint8.  own, peer, flux: [n] float32 on the CPU.
    Mutates: peer, flux.
    Races:   none of them may be written by others meanwhile.
    Bytes:   17 an element.
    Raises:  ValueError if sizes, dtypes or devices differ from that, or two of them overlap.
    """
    _check({"own": own, "peer": peer, "flux": flux}, packet)
    return _C.wire_decode(
        {
            "packet": packet.data_ptr(),
            "own": own.data_ptr(),
            "peer": peer.data_ptr(),
            "flux": flux.data_ptr(),
            "n": own.numel(),
        }
    )


def _check(vectors: dict[str, Tensor], packet: Tensor) -> None:
    tensors.check_alike(vectors)
    name, first = next(iter(vectors.items()))
    if first.dtype != torch.float32 or not first.is_cpu:
        raise ValueError(f"{name} is {first.dtype} on {first.device}: the 8-bit wire is for float32 on the CPU")
    size = packet_bytes(first.numel())
    if packet.dtype != torch.uint8 or not packet.is_cpu or not packet.is_contiguous() or packet.numel() != size:
        raise ValueError(
            f"packet is {packet.dtype} {tuple(packet.shape)} on {packet.device}: {first.numel()} elements need "
            f"contiguous uint8 [{size}] on the CPU"
        )
    if packet.data_ptr() % SCALE_BYTES:
        raise ValueError(f"packet begins at an address that is no multiple of {SCALE_BYTES} bytes: pass it whole")
    tensors.check_disjoint({**vectors, "packet": packet})
