"""Copies between the host's memory and a device's. A non-blocking copy is enqueued on the stream like a launch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torch_cuda import library, streams
from torch_cuda.library import ELSEWHERE, HOST, PINNED

ANY_DIRECTION = 4
sync_debug_mode = "default"


def check_waiting() -> None:
    """Raises RuntimeError if the host may not wait for the device."""
    if streams.is_capturing():
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing")
    if sync_debug_mode == "error":
        raise RuntimeError("called a synchronizing CUDA operation")


def is_pinned(tensor: Tensor) -> bool:
    return bool(library.ask("emulator_is_pinned", tensor.data_ptr()))


def _lies_on_stream(one: Tensor, other: Tensor, non_blocking: bool) -> bool:
    """Whether the copy may run later: it is non-blocking, and the host's memory is pinned."""
    return non_blocking and all(library.place(t) >= 0 or is_pinned(t) for t in (one, other))


def _enqueue(target: Tensor, source: Tensor) -> None:
    library.call(
        "cudaMemcpyAsync",
        *(target.data_ptr(), source.data_ptr(), source.nbytes, ANY_DIRECTION),
        streams.current_stream().cuda_stream,
    )


def move(tensor: Tensor, where: int, non_blocking: bool = False) -> Tensor:
    """A copy of a tensor on another device."""
    if tensor.requires_grad and torch.is_grad_enabled():
        return _Move.apply(tensor, where, non_blocking)
    if where == HOST and non_blocking:
        where = PINNED
    if _lies_on_stream(tensor, tensor, non_blocking) and tensor.is_contiguous() and tensor.numel():
        with library.inside(where):
            target = torch.empty_like(tensor)
        _enqueue(target, tensor)
        return target
    check_waiting()
    library.finish()
    with library.inside(where):
        target = tensor.to(device="cpu", copy=True)
    if not target.numel():
        target._place = where
    return target


class _Move(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor, where: int, non_blocking: bool) -> Tensor:
        ctx.source = library.place(tensor)
        return move(tensor.detach(), where, non_blocking)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        with torch._C.DisableTorchFunction():
            return move(g.detach(), ctx.source), None, None


def to(tensor: Tensor, *args: Any, copy: bool = False, **kwargs: Any) -> Tensor:
    """Tensor.to, in all its forms."""
    if args and isinstance(args[0], Tensor):
        other, *rest = args
        where, dtype, args = library.place(other), other.dtype, rest
        non_blocking, memory_format = bool(rest and rest[0]) or kwargs.get("non_blocking", False), None
    else:
        device, dtype, non_blocking, memory_format = torch._C._nn._parse_to(*args, **kwargs)
        where = library.place(tensor) if device is None else library.resolve(device)
    here, made = library.place(tensor), tensor
    options = {"dtype": dtype, "memory_format": memory_format}
    options = {name: value for name, value in options.items() if value is not None}
    if ELSEWHERE in (here, where):
        return tensor.to(*args, copy=copy, **kwargs)
    if where != here:
        made, copy = move(tensor, where, non_blocking), False
    if (copy or options) and where >= 0:
        library.finish()
    if copy or options:
        with library.inside(where):
            made = made.to(device="cpu", copy=copy, **options)
    return made


def copy_(target: Tensor, source: Any, non_blocking: bool = False) -> Tensor:
    places = {library.place(target), library.place(source)} if isinstance(source, Tensor) else {library.place(target)}
    if max(places) < 0:
        return target.copy_(source, non_blocking=non_blocking)
    alike = len(places) == 2 and source.shape == target.shape and source.dtype == target.dtype and not source.is_conj()
    alike = alike and source.is_contiguous() and target.is_contiguous() and bool(source.numel())
    needs_graph = torch.is_grad_enabled() and (source.requires_grad or target.requires_grad)
    if alike and not needs_graph and _lies_on_stream(target, source, non_blocking):
        _enqueue(target, source)
        return target
    if len(places) == 2 and not (non_blocking and _lies_on_stream(target, source, non_blocking)):
        check_waiting()
    library.finish()
    with library.inside(library.place(target)):
        return target.copy_(source)


def pin_memory(tensor: Tensor, *_: Any) -> Tensor:
    if library.place(tensor) >= 0:
        raise RuntimeError(f"cannot pin '{library.name(library.place(tensor))}' only dense CPU tensors can be pinned")
    if is_pinned(tensor):
        return tensor
    with library.inside(PINNED):
        return tensor.clone(memory_format=torch.contiguous_format)
