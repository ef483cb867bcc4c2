"""Operations on a device: moving tensors to it, reading a number, waiting for it; and the threads of the CPU."""

from __future__ import annotations

import contextlib
import operator
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
    """A batch (tensors in tuples, lists and dicts) on `device`, its floating point tensors as `dtype`, that of the
    model; else unchanged.
    """

    def move(tensor: Tensor) -> Tensor:
        wanted = dtype if tensor.is_floating_point() else tensor.dtype
        if tensor.dtype is wanted and tensor.device == device:  # the usual case, in a tenth of the time
            return tensor
        return tensor.to(device, wanted, non_blocking=True)

    return map_tensors(move, batch)


def map_tensors(function: Callable[[Tensor], Tensor], nest: Any) -> Any:
    """`nest` with `function` of every tensor in its tuples, lists and dicts; what holds no other tensor than before is
    returned as it is.
    """
    if isinstance(nest, Tensor):
        return function(nest)
    if not isinstance(nest, (dict, tuple, list)):
        return nest
    old = list(nest.values()) if isinstance(nest, dict) else list(nest)
    new = [map_tensors(function, value) for value in old]
    if all(map(operator.is_, old, new)):
        return nest
    if isinstance(nest, dict):
        return dict(zip(nest, new, strict=True))
    return type(nest)(*new) if hasattr(nest, "_fields") else type(nest)(new)


def shape_of(nest: Any) -> str:
    """Types and shapes of all tensors of `nest`, in one line: `(float32 [1, 6], {label: int64 [1]})`."""
    if isinstance(nest, Tensor):
        return f"{str(nest.dtype).removeprefix('torch.')} {list(nest.shape)}"
    if isinstance(nest, dict):
        return "{" + ", ".join(f"{name}: {shape_of(value)}" for name, value in nest.items()) + "}"
    if isinstance(nest, (tuple, list)):
        return "(" + ", ".join(map(shape_of, nest)) + ")"
    return type(nest).__name__


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
