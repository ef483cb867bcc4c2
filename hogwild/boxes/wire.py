"""What travels between two boxes: the snapshot itself (f32), or 8-bit differences to what the other box knows (int8).

A wire turns a snapshot s into a packet and back, on both sides into the same decoded value. The flux of an exchange is
computed from the two decoded values by both boxes, so the sum of the models is conserved whatever a wire loses.

    f32     packet = s                                                              4 bytes a parameter
    int8    q = rint((s - h) 127 / max|s - h|) per block of 1024;  h <- h + q max / 127     1.004 bytes a parameter

h is the decoded value itself, kept by both ends: 0 when a link is made, then what the sender has sent so far. What an
exchange rounds away is in the next difference (error feedback; CHOCO-SGD, Koloskova et al. 2019, arXiv:1902.00340).
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from hogwild.kernels import copy

BLOCK = 1024
LEVELS = 127
SCALE_BYTES = 4


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
    def decode(self, packet: Tensor, peer: Tensor) -> None:
        """Mutates peer [n], which becomes the decoded snapshot of the other box."""

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

    def decode(self, packet: Tensor, peer: Tensor) -> None:
        """The packet was received into `peer`."""

    def reset(self, own: Tensor, peer: Tensor) -> None:
        """Nothing is remembered."""


class Int8(Wire):
    """Differences in 8 bits. A packet [bytes] uint8: a float32 scale for each block, then the codes, padded to blocks.

    A block with an element that is not finite gets a scale of NaN, and both ends decode NaN in all of it.
    """

    name = "int8"

    def __init__(self, n: int) -> None:
        super().__init__(n)
        self.blocks = -(-n // BLOCK)
        size = self.blocks * (SCALE_BYTES + BLOCK)
        self._sent, self._received = (torch.zeros(size, dtype=torch.uint8) for _ in range(2))
        self._values = torch.zeros(self.blocks, BLOCK)

    def encode(self, x: Tensor, own: Tensor) -> Tensor:
        values, (scales, codes) = self._values, self._parts(self._sent)
        torch.sub(x, own, out=values.view(-1)[: self.n])
        largest = values.abs().amax(1)
        torch.div(largest, LEVELS, out=scales)
        scales[~torch.isfinite(largest)] = torch.nan
        factor = torch.where(largest > 0, LEVELS / largest, torch.zeros(())).unsqueeze(1)
        codes.copy_(values.mul_(factor).round_().nan_to_num_(0.0).clamp_(-LEVELS, LEVELS))
        self.decode(self._sent, own)
        return self._sent

    def room(self, peer: Tensor) -> Tensor:  # noqa: ARG002
        return self._received

    def decode(self, packet: Tensor, peer: Tensor) -> None:
        scales, codes = self._parts(packet)
        self._values.copy_(codes).mul_(scales.unsqueeze(1))
        peer.add_(self._values.view(-1)[: self.n])

    def reset(self, own: Tensor, peer: Tensor) -> None:
        own.zero_()
        peer.zero_()

    def _parts(self, packet: Tensor) -> tuple[Tensor, Tensor]:
        """(scales [blocks] float32, codes [blocks, BLOCK] int8), as views."""
        split = self.blocks * SCALE_BYTES
        return packet[:split].view(torch.float32), packet[split:].view(torch.int8).view(self.blocks, BLOCK)


WIRES: dict[str, type[Wire]] = {wire.name: wire for wire in (F32, Int8)}
