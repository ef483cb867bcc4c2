"""Averages and copies of flat buffers (csrc/mix.h), and the count of what is not finite in gradients."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from hogwild import _C
from hogwild.kernels import tensors


def weighted_sum(
    out: Tensor,
    inputs: Sequence[Tensor],
    weights: Sequence[float],
    start: int | None = None,
    stop: int | None = None,
) -> None:
    """out[i] <- sum_j weights[j] inputs[j][i] for i in [start, stop), in one pass.

    Args:    out, inputs[j]: [n] float32 or float64, all alike; `out` may be one of the inputs.  weights: one per input.
    Mutates: out, inside [start, stop).
    Races:   plain vector loads and stores. Inputs that others write meanwhile are read element by element, untorn.
    Raises:  ValueError if sizes, dtypes or devices differ, or there is no input.
    """
    tensors.check_flat("out", out)
    for j, tensor in enumerate(inputs):
        tensors.check_flat(f"inputs[{j}]", tensor, like=out)
    if not inputs or len(inputs) != len(weights):
        raise ValueError(f"{len(inputs)} inputs and {len(weights)} weights: give one weight per input")
    begin, end = tensors.check_range(start, stop, out.numel())
    device = tensors.device_index(out)
    addresses = [tensor.data_ptr() for tensor in inputs]
    stream = tensors.current_stream(device)
    dtype = tensors.MASTER_DTYPES[out.dtype]
    _C.weighted_sum(dtype, out.data_ptr(), addresses, list(weights), begin, end, device, stream)


def copy(dst: Tensor, src: Tensor, start: int | None = None, stop: int | None = None) -> None:
    """dst[i] <- src[i] for i in [start, stop): a pull, when dst is a snapshot and src the master.

    Args:    dst, src: [n] float32 or float64, alike.
    Mutates: dst, inside [start, stop).
    Races:   elements that others write meanwhile are copied before or after that write, never torn; no two elements
             need come from the same version of the master.
    Raises:  ValueError if sizes, dtypes or devices differ.
    """
    tensors.check_flat("src", src)
    tensors.check_flat("dst", dst, like=src)
    begin, end = tensors.check_range(start, stop, dst.numel())
    device = tensors.device_index(dst)
    stream = tensors.current_stream(device)
    _C.copy(tensors.MASTER_DTYPES[dst.dtype], dst.data_ptr(), src.data_ptr(), begin, end, device, stream)


def count_nonfinite(grads: Sequence[Tensor | None]) -> int:
    """How many elements of the gradients are NaN or infinite; 0 means all is well. On CUDA this waits for the device.

    Args:   grads: dense tensors of float32, bfloat16 or float64 on any one device each; None is skipped.
    Raises: ValueError for other dtypes or layouts.
    """
    nonfinite = 0
    for k, g in enumerate(grads):
        if g is None:
            continue
        tensors.check_dense(k, g)
        if g.dtype not in tensors.GRADIENT_DTYPES:
            raise ValueError(f"gradient {k} is {g.dtype}: expected float32, bfloat16 or float64")
        dense, device = g.contiguous(), tensors.device_index(g)
        dtype, stream = tensors.GRADIENT_DTYPES[g.dtype], tensors.current_stream(device)
        nonfinite += _C.count_nonfinite(dtype, dense.data_ptr(), dense.numel(), device, stream)
    return nonfinite
