"""Checks torch tensors and translates them for the kernels: addresses, element types, devices, streams."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

ALIGNMENT_BYTES = 64  # alignment of torch's CPU allocator: a cache line, the widest vector
SEGMENT_BYTES = 128  # two cache lines, which processors fetch together

MASTER_DTYPES = {torch.float32: "float32", torch.float64: "float64"}
DTYPES = {name: dtype for dtype, name in MASTER_DTYPES.items()}
GRADIENT_DTYPES = {**MASTER_DTYPES, torch.bfloat16: "bfloat16"}


def address(tensor: Tensor | None) -> int:
    """The address of the first element; 0, the null pointer, for None."""
    return 0 if tensor is None else tensor.data_ptr()


def device_index(tensor: Tensor) -> int:
    """-1 for the CPU, else the CUDA device's index."""
    return tensor.device.index if tensor.is_cuda else -1


def current_stream(device: int) -> int:
    """PyTorch's current stream on a CUDA device as an integer; 0 for the CPU."""
    return 0 if device < 0 else torch._C._cuda_getCurrentRawStream(device)  # a Stream object is slower


def check_flat(name: str, tensor: Tensor, like: Tensor | None = None, first: str = "x") -> None:
    """Checks a flat buffer: one dimension, contiguous, aligned, float32 or float64, on the CPU or CUDA; like the first
    one.
    """
    if not (tensor.is_cpu or tensor.is_cuda):
        raise ValueError(f"{name} is on {tensor.device}: the kernels work on cpu and cuda")
    if tensor.dtype not in MASTER_DTYPES:
        raise ValueError(f"{name} is {tensor.dtype}: a flat buffer is float32 or float64")
    if tensor.dim() != 1 or not tensor.is_contiguous():
        raise ValueError(f"{name} has shape {tuple(tensor.shape)}: a flat buffer is one contiguous dimension [n]")
    if tensor.data_ptr() % ALIGNMENT_BYTES:
        raise ValueError(f"{name} begins at an address that is no multiple of {ALIGNMENT_BYTES} bytes: pass it whole")
    if like is not None:
        if tensor.dtype != like.dtype or tensor.device != like.device:
            raise ValueError(
                f"{name} is {tensor.dtype} on {tensor.device}, but {first} is {like.dtype} on {like.device}"
            )
        if tensor.numel() != like.numel():
            raise ValueError(
                f"{name} has {tensor.numel()} elements, {first} has {like.numel()} (same flat layout needed)"
            )


def check_alike(buffers: dict[str, Tensor]) -> None:
    """Checks flat buffers, all like the first."""
    first, like = next(iter(buffers.items()))
    for name, buffer in buffers.items():
        check_flat(name, buffer, None if buffer is like else like, first)


def checked_buffers(buffers: Mapping[str, Tensor | None]) -> dict[str, Tensor]:
    """The given buffers of a push, after checks: all are flat and like x, and none overlap. gap_state is not checked
    here.
    """
    there = {name: tensor for name, tensor in buffers.items() if tensor is not None}
    flat = {name: tensor for name, tensor in there.items() if name != "gap_state"}
    check_alike(flat)
    check_disjoint(flat)
    return there


def check_disjoint(buffers: dict[str, Tensor]) -> None:
    """Checks that no two buffers overlap: the loops treat their iterations as independent."""
    ends = sorted([(start := t.data_ptr(), start + t.nbytes, name) for name, t in buffers.items()])
    for (_, end, name), (start, _, other) in itertools.pairwise(ends):
        if start < end:
            raise ValueError(f"{name} and {other} overlap in memory: each buffer needs its own")


def check_segments(segments: Sequence[tuple[int, int]], n: int, element_bytes: int) -> None:
    """Checks that segments ascend, do not overlap, lie inside [0, n) and begin on 128-byte boundaries."""
    end = 0
    for k, (offset, numel) in enumerate(segments):
        if numel < 0 or offset < end or offset + numel > n:
            raise ValueError(
                f"segment {k} covers [{offset}, {offset + numel}): segments must ascend without overlap inside [0, {n})"
            )
        if offset * element_bytes % SEGMENT_BYTES:
            raise ValueError(f"segment {k} begins at element {offset}: offsets are multiples of {SEGMENT_BYTES} bytes")
        end = offset + numel


def check_dense(k: int, g: object) -> None:
    """Checks that gradient `k` is a dense tensor."""
    if not isinstance(g, Tensor):
        raise ValueError(f"gradient {k} is a {type(g).__name__}: expected a tensor or None")
    if g.layout is not torch.strided:
        raise ValueError(
            f"gradient {k} is {g.layout}: a push takes dense gradients, and SparsePush those of "
            "tables: use an nn.Embedding with sparse=True, or sparse=False"
        )


def check_range(start: int | None, stop: int | None, n: int) -> tuple[int, int]:
    """The range [start, stop), with defaults 0 and n; checked to lie inside [0, n)."""
    begin, end = 0 if start is None else start, n if stop is None else stop
    if not 0 <= begin <= end <= n:
        raise ValueError(f"[start, stop) is [{begin}, {end}): it must lie inside [0, {n})")
    return begin, end
