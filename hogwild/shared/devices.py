"""Operations on a device: moving tensors to it, reading a number, waiting for it; and the threads of the CPU."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """A context in which torch uses one thread: next to busy workers, more threads make it far slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def to_device(batch: Any, device: torch.device, dtype: torch.dtype = torch.float32) -> Any:
    """A batch (tensors in tuples, lists and dicts) on `device`, with float32 tensors converted to `dtype`."""

    def move(tensor: Tensor) -> Tensor:
        return tensor.to(device, dtype if tensor.dtype is torch.float32 else tensor.dtype, non_blocking=True)

    if device.type == "cpu" and dtype is torch.float32 and not isinstance(batch, Tensor):
        return batch
    return map_tensors(move, batch)


def map_tensors(function: Callable[[Tensor], Tensor], nest: Any) -> Any:
    """`nest` with `function` applied to every tensor in its tuples, lists and dicts."""
    if isinstance(nest, Tensor):
        return function(nest)
    if isinstance(nest, dict):
        return {key: map_tensors(function, value) for key, value in nest.items()}
    if isinstance(nest, tuple) and hasattr(nest, "_fields"):
        return type(nest)(*(map_tensors(function, value) for value in nest))
    if isinstance(nest, (tuple, list)):
        return type(nest)(map_tensors(function, value) for value in nest)
    return nest


class Reading:
    """A number that a device computes. Its copy to the host starts at construction; reading it waits for the copy.

    Reading waits only for work that was enqueued before the construction.
    """

    def __init__(self, value: Tensor) -> None:
        self._value: Tensor | float
        self._arrived = None
        if not value.is_cuda:
            self._value = float(value)
        else:
            self._value = torch.empty_like(value, device="cpu", pin_memory=True).copy_(value, non_blocking=True)
            self._arrived = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
            self._arrived.record()

    def get(self) -> float:
        if self._arrived is not None:
            self._arrived.synchronize()
        return float(self._value)


def finish(device: torch.device) -> None:
    """Waits until the device has finished all work of this process; returns at once on the CPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
