"""An object for many processes: pickled once, into shared memory, with the elements of its arrays beside the pickle.

Each process unpickles it from a private mapping of that memory. The elements of NumPy arrays and of tensors on the CPU
are then the shared pages themselves; where a process writes, the kernel gives it a copy of the page. So many processes
need the memory of one, and none sees what another writes. Everything else (lists, dicts, strings) is made anew in each
process.
"""

from __future__ import annotations

import copyreg
import io
import mmap
import os
import pickle
from itertools import accumulate
from multiprocessing import reduction
from typing import Any

import torch
from torch import Tensor

from hogwild.shared.memory import SharedMemory

LARGE_BYTES = 1 << 16  # smaller arrays stay in the pickle
ALIGNMENT = 128


class Payload:
    """`value`, which can be sent to a process as an argument; `load` makes it there. `what` describes it for the
    UsageError of a machine that has too little memory. Raises what pickle raises for a value that cannot be sent.

    Tensors that share memory are separate tensors afterwards, as in any pickle.
    """

    _fd: int  # of the memory, where it was received

    def __init__(self, value: object, what: str) -> None:
        head = io.BytesIO()
        large: list[memoryview] = []

        def stays_in_pickle(buffer: pickle.PickleBuffer) -> bool:
            elements = buffer.raw()
            if elements.nbytes < LARGE_BYTES:
                return True
            large.append(elements)
            return False

        pickler = pickle.Pickler(head, protocol=5, buffer_callback=stays_in_pickle)
        pickler.dispatch_table = {**copyreg.dispatch_table, Tensor: _reduced}
        pickler.dump(value)
        parts = [head.getbuffer(), *large]
        self._sizes = [part.nbytes for part in parts]
        self._memory = SharedMemory(self._starts()[-1], what)
        for start, part in zip(self._starts(), parts, strict=False):
            self._memory.bytes[start : start + part.nbytes].numpy()[:] = part

    def load(self) -> Any:
        """The value, in the process that this was sent to; once."""
        fd = self._fd
        try:
            mapped = memoryview(mmap.mmap(fd, self._starts()[-1], flags=mmap.MAP_PRIVATE))
        finally:
            os.close(fd)
        head, *large = (mapped[a : a + n] for a, n in zip(self._starts(), self._sizes, strict=False))
        return pickle.loads(head, buffers=large)

    def _starts(self) -> list[int]:
        """Where the parts begin, and where the last one ends."""
        return [0, *accumulate(-(-size // ALIGNMENT) * ALIGNMENT for size in self._sizes)]

    def __reduce__(self) -> tuple[Any, ...]:
        return _received, (reduction.DupFd(self._memory.fileno()), self._sizes)


def _received(fd: Any, sizes: list[int]) -> Payload:
    payload = Payload.__new__(Payload)
    payload._fd, payload._sizes = fd.detach(), sizes
    return payload


def _reduced(tensor: Tensor) -> Any:
    """How a tensor is pickled: a large one on the CPU with its elements outside the pickle."""
    is_plain = tensor.device.type == "cpu" and tensor.layout is torch.strided and tensor.is_contiguous()
    is_real = not (tensor.is_complex() or tensor.is_quantized or tensor.requires_grad)
    if not (is_plain and is_real and tensor.nbytes >= LARGE_BYTES):
        return tensor.__reduce_ex__(5)  # type: ignore[no-untyped-call]
    elements = tensor.detach().view(-1).view(torch.uint8).numpy()
    return _tensor, (pickle.PickleBuffer(elements), tensor.dtype, tensor.shape)  # type: ignore[arg-type]


def _tensor(elements: Any, dtype: torch.dtype, shape: torch.Size) -> Tensor:
    return torch.frombuffer(elements, dtype=torch.uint8).view(dtype).view(shape)
