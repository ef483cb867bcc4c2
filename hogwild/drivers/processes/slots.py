"""Slots of shared memory in which loaders leave batches for the workers, who find a batch by its ticket.

Every loader has slots of its own, which it fills in turn: the batch of ticket t is made by loader t mod K, and lies in
its slot (t div K) mod depth. There is no lock. A loader writes `begun`, and `ready` when the batch is whole; a worker
copies the batch and then looks whether both are still that ticket: if not, the loader has gone on to a later one, and
the worker reads the batch itself. So a loader or a worker may die, or stand still, at any place.
"""

from __future__ import annotations

import copyreg
import io
import pickle
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from hogwild.kernels.words import load_word, store_word
from hogwild.shared.memory import SharedMemory

BEGUN, READY, PARTS = 0, 8, 16  # bytes into a slot: the tickets + 1, the number of parts
TOOK = 24  # of the loader's first slot: ns that its last batch took; negative: it has died
SIZES, MOST_PARTS = 64, 120  # the length of each part, and how many a batch can have
HEADER = 1024
ALIGNMENT = 128
NAPS_S = (0.00005, 0.002)  # between two looks at a batch that is being made: at first, and at most
PATIENCE = 4  # times as long as the last batch, beside PATIENCE_S: then the worker reads it itself
PATIENCE_S = 1.0


@dataclass(frozen=True)
class Slots:
    """The slots of `loaders` loaders, `depth` each, for batches of up to `room` bytes. It can be sent to a process."""

    memory: SharedMemory
    loaders: int
    depth: int
    room: int

    @classmethod
    def create(cls, loaders: int, depth: int, room: int) -> Slots:
        room = -(-room // ALIGNMENT) * ALIGNMENT
        memory = SharedMemory(loaders * depth * (HEADER + room), f"batches of {loaders} loaders")
        return cls(memory, loaders, depth, room)

    @property
    def ahead(self) -> int:
        """How many tickets the slots hold."""
        return self.loaders * self.depth

    def write(self, ticket: int, make: Callable[[], Any]) -> None:
        """The batch that `make` returns becomes that of `ticket`; one that is too large is left out. For its loader."""
        slot, began = self._slot(ticket), time.monotonic_ns()
        store_word(self._at(slot) + READY, 0)
        store_word(self._at(slot) + BEGUN, ticket + 1)
        parts = pickled(make())
        starts = _starts([len(part) for part in parts])
        if starts[-1] > self.room or len(parts) > MOST_PARTS:
            parts = []
        for number, (start, part) in enumerate(zip(starts, parts, strict=False)):
            store_word(self._at(slot) + SIZES + 8 * number, len(part))
            offset = slot * (HEADER + self.room) + HEADER + start
            self.memory.bytes[offset : offset + len(part)].numpy()[:] = part
        store_word(self._at(slot) + PARTS, len(parts))
        store_word(self._at(slot) + READY, ticket + 1)
        store_word(self._took(ticket % self.loaders), time.monotonic_ns() - began)

    def read(self, ticket: int, pulse: Callable[[], object]) -> Any:
        """The batch of `ticket`; waits for it if its loader is at it. None: the worker must read it itself. `pulse` is
        called about every second.
        """
        slot, took = self._slot(ticket), load_word(self._took(ticket % self.loaders))
        address, patience_s, nap_s = self._at(slot), PATIENCE_S + PATIENCE * 1e-9 * took, NAPS_S[0]
        since = pulsed = time.monotonic()
        while load_word(address + READY) != ticket + 1:
            now = time.monotonic()
            is_made = load_word(address + BEGUN) == ticket + 1 and load_word(self._took(ticket % self.loaders)) >= 0
            if not is_made or now - since > patience_s:
                return None
            if now - pulsed > 1:
                pulsed = now
                pulse()
            time.sleep(nap_s)
            nap_s = min(2 * nap_s, NAPS_S[1])
        sizes = [load_word(address + SIZES + 8 * n) for n in range(min(load_word(address + PARTS), MOST_PARTS))]
        starts = _starts(sizes)
        if not sizes or not all(0 <= size <= self.room for size in sizes) or starts[-1] > self.room:
            return None
        offset = slot * (HEADER + self.room) + HEADER
        own = self.memory.bytes[offset : offset + starts[-1]].clone()
        if load_word(address + BEGUN) != ticket + 1 or load_word(address + READY) != ticket + 1:
            return None
        parts = own.numpy().data
        head, *buffers = (parts[start : start + size] for start, size in zip(starts, sizes, strict=False))
        return pickle.loads(head, buffers=buffers)

    def bury(self, loader: int) -> None:
        """The loader has died: nobody waits for it."""
        store_word(self._took(loader), -1)

    def _slot(self, ticket: int) -> int:
        return ticket % self.loaders * self.depth + ticket // self.loaders % self.depth

    def _at(self, slot: int) -> int:
        return self.memory.address + slot * (HEADER + self.room)

    def _took(self, loader: int) -> int:
        return self._at(loader * self.depth) + TOOK


def pickled(value: object) -> list[memoryview]:
    """A pickle of `value`, and behind it the elements of all its tensors and arrays."""
    head, parts = io.BytesIO(), []
    pickler = pickle.Pickler(head, protocol=5, buffer_callback=lambda buffer: parts.append(buffer.raw()))
    pickler.dispatch_table = {**copyreg.dispatch_table, Tensor: _reduced}
    pickler.dump(value)
    return [head.getbuffer(), *parts]


def _reduced(tensor: Tensor) -> Any:
    is_plain = tensor.device.type == "cpu" and tensor.layout is torch.strided and not tensor.is_quantized
    if not is_plain or tensor.is_complex() or tensor.requires_grad or not tensor.numel():
        return tensor.__reduce_ex__(5)  # type: ignore[no-untyped-call]
    elements = tensor.detach().contiguous().view(-1).view(torch.uint8).numpy()
    return _tensor, (pickle.PickleBuffer(elements), tensor.dtype, tensor.shape)  # type: ignore[arg-type]


def _tensor(elements: Any, dtype: torch.dtype, shape: torch.Size) -> Tensor:
    return torch.frombuffer(elements, dtype=torch.uint8).view(dtype).view(shape)


def _starts(sizes: list[int]) -> list[int]:
    """Where parts of these sizes begin, and where the last one ends."""
    return [0, *accumulate(-(-size // ALIGNMENT) * ALIGNMENT for size in sizes)]
