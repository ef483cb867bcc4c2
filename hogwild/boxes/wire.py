"""What travels between two boxes: the snapshot itself (f32), or 8-bit differences to what the other box knows (int8).

A wire turns a snapshot s into a packet and back, on both sides into the same decoded value. The flux of an exchange is
computed from the two decoded values by both boxes, so the sum of the models is conserved whatever a wire loses.

    f32     packet = s                                                              4 bytes a parameter
    int8    q = rint((s - h) 127 / max|s - h|) per block of 1024;  h <- h + q max / 127     1.004 bytes a parameter

h is the decoded value itself, kept by both ends: 0 when a link is made, then what the sender has sent so far. What an
exchange rounds away is in the next difference (error feedback; CHOCO-SGD, Koloskova et al. 2019, arXiv:1902.00340).

A flux is whole before any of it is added: the next courier can go on with the addition, but could not tell which
elements a decode straight into the model has reached (docs/adr/0020-eight-bits.md).
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from hogwild.kernels import copy, count_nonfinite, weighted_sum, wire


def flux_of(own: Tensor, peer: Tensor, flux: Tensor) -> int:
    """flux <- (peer - own) / 2, all [n]. Mutates flux. Returns the number of its elements that are not finite."""
    weighted_sum(flux, [peer, own], [0.5, -0.5])
    return count_nonfinite([flux])


class Wire(ABC):
    """The two directions of one link at a time. `n`: elements of a snapshot, float32 on the CPU."""

    name: str

    def __init__(self, n: int) -> None:
        self.n = n

    @abstractmethod
    def encode(self, x: Tensor, own: Tensor) -> Tensor:
        """Takes a snapshot of x [n], which others may write meanwhile: each element is read once. Returns the packet,
        which the caller must have sent before the next call. Mutates own [n], which becomes the decoded snapshot.
        """

    @abstractmethod
    def room(self, peer: Tensor) -> Tensor:
        """Where a packet is received. It may be `peer` itself."""

    @abstractmethod
    def decode(self, packet: Tensor, own: Tensor, peer: Tensor, flux: Tensor) -> int:
        """flux <- (peer - own) / 2. Mutates peer [n], which becomes the decoded snapshot of the other box, and flux
        [n]. Returns the number of elements of the flux that are not finite.
        """

    @abstractmethod
    def reset(self, own: Tensor, peer: Tensor) -> None:
        """A link is made: neither end knows anything of the other."""


class F32(Wire):
    """The snapshot as it is."""

    name = "f32"

    def encode(self, x: Tensor, own: Tensor) -> Tensor:
        copy(own, x)
        return own

    def room(self, peer: Tensor) -> Tensor:
        return peer

    def decode(self, packet: Tensor, own: Tensor, peer: Tensor, flux: Tensor) -> int:  # noqa: ARG002
        """The packet was received into `peer`."""
        return flux_of(own, peer, flux)

    def reset(self, own: Tensor, peer: Tensor) -> None:
        """Nothing is remembered."""


class Int8(Wire):
    """Differences in 8 bits (hogwild.kernels.wire). A block with an element that is not finite is NaN at both ends."""

    name = "int8"

    def __init__(self, n: int) -> None:
        super().__init__(n)
        self._sent, self._received = (torch.zeros(wire.packet_bytes(n), dtype=torch.uint8) for _ in range(2))

    def encode(self, x: Tensor, own: Tensor) -> Tensor:
        wire.encode(x, own, self._sent)
        return self._sent

    def room(self, peer: Tensor) -> Tensor:  # noqa: ARG002
        return self._received

    def decode(self, packet: Tensor, own: Tensor, peer: Tensor, flux: Tensor) -> int:
        return wire.decode(packet, own, peer, flux)

    def reset(self, own: Tensor, peer: Tensor) -> None:
        own.zero_()
        peer.zero_()


WIRES: dict[str, type[Wire]] = {kind.name: kind for kind in (F32, Int8)}
