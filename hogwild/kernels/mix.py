"""Averages, diffusions and copies of flat buffers (csrc/mix.h), and the count of non-finite gradient elements."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

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
    Races:   plain vector loads and stores. Inputs may be written concurrently: each element is read untorn.
    Raises:  ValueError if sizes, dtypes or devices differ, or there is no input.
    """
    tensors.check_alike({"out": out, **{f"inputs[{j}]": tensor for j, tensor in enumerate(inputs)}})
    if not inputs or len(inputs) != len(weights):
        raise ValueError(f"{len(inputs)} inputs and {len(weights)} weights: give one weight per input")
    begin, end = tensors.check_range(start, stop, out.numel())
    device = tensors.device_index(out)
    _C.weighted_sum(
        {
            "dtype": tensors.MASTER_DTYPES[out.dtype],
            "out": out.data_ptr(),
            "inputs": [tensor.data_ptr() for tensor in inputs],
            "weights": weights,
            "start": begin,
            "stop": end,
            "device": device,
            "stream": tensors.current_stream(device),
        }
    )


def diffuse(
    out: Tensor,
    own: Tensor,
    neighbours: Sequence[Tensor],
    weights: Sequence[float],
    correction: Tensor | None = None,
    *,
    start: int | None = None,
    stop: int | None = None,
) -> None:
    """f_j = w_j (n_j - own);  out <- own + sum_j f_j;  correction <- correction + sum_j f_j

    One row of a mixing matrix W, with self-weight 1 - sum_j w_j (D-PSGD, Lian et al. 2017). It is computed with fluxes
    f_j because w (a - b) and w (b - a) are exact opposites: one end of an edge gains exactly the amount that the other
    loses, and the mean over the workers changes only by the rounding of the sums. D² (Tang et al. 2018) in its
    correction form has own = x + u + c with u the local update, x <- out, and c <- c + (out - own), which is the sum of
    the fluxes without the rounding of x; sum_i c_i stays 0 where it was.

    Args:    out, own, neighbours[j], correction: [n] float32 or float64, all alike. `out` may be `own`, if no other
             worker reads it meanwhile. No neighbours: out <- own.  weights: one per neighbour, w_ij = w_ji for both
             ends.
    Mutates: out and correction, inside [start, stop).
    Races:   plain vector loads and stores. `own` is read once; each element of the neighbours' buffers is read untorn.
    Bytes:   4 (k + 2) per float32 parameter with k neighbours, 16 on a ring; 8 more with a correction.
    Raises:  ValueError if sizes, dtypes or devices differ, or two buffers overlap (but `out` and `own`).
    """
    tensors.check_alike({"out": out, "own": own})
    buffers = {"out": out} if own.data_ptr() == out.data_ptr() else {"out": out, "own": own}
    check_neighbours(buffers | ({} if correction is None else {"correction": correction}), neighbours, weights)
    begin, end = tensors.check_range(start, stop, out.numel())
    device = tensors.device_index(out)
    _C.diffuse(
        {
            "dtype": tensors.MASTER_DTYPES[out.dtype],
            "out": out.data_ptr(),
            "own": own.data_ptr(),
            "correction": tensors.address(correction),
            "neighbours": [tensor.data_ptr() for tensor in neighbours],
            "weights": weights,
            "start": begin,
            "stop": end,
            "device": device,
            "stream": tensors.current_stream(device),
        }
    )


def check_neighbours(own: Mapping[str, Tensor], neighbours: Sequence[Tensor], weights: Sequence[float]) -> None:
    """Raises ValueError if there is not one finite weight per neighbour, or the buffers, the worker's own by name, are
    not alike or overlap.
    """
    if len(neighbours) != len(weights):
        raise ValueError(f"{len(neighbours)} neighbours and {len(weights)} weights: give one weight per neighbour")
    if not all(math.isfinite(weight) for weight in weights):
        raise ValueError(f"weights are {list(weights)}: expected finite numbers")
    buffers = {**own, **{f"neighbours[{j}]": tensor for j, tensor in enumerate(neighbours)}}
    tensors.check_alike(buffers)
    tensors.check_disjoint(buffers)


def copy(dst: Tensor, src: Tensor, start: int | None = None, stop: int | None = None) -> None:
    """dst[i] <- src[i] for i in [start, stop): a pull, when dst is a snapshot and src the master.

    Args:    dst, src: [n] float32 or float64, alike.
    Mutates: dst, inside [start, stop).
    Races:   an element that is written concurrently is copied as it was before or after that write, never torn.
             Different elements may come from different versions of the master.
    Raises:  ValueError if sizes, dtypes or devices differ.
    """
    tensors.check_alike({"src": src, "dst": dst})
    begin, end = tensors.check_range(start, stop, dst.numel())
    device = tensors.device_index(dst)
    _C.copy(
        {
            "dtype": tensors.MASTER_DTYPES[dst.dtype],
            "out": dst.data_ptr(),
            "source": src.data_ptr(),
            "start": begin,
            "stop": end,
            "device": device,
            "stream": tensors.current_stream(device),
        }
    )


def count_nonfinite(grads: Sequence[Tensor | None]) -> int:
    """The number of elements of the gradients that are NaN or infinite. On CUDA this waits for the device.

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
        nonfinite += _C.count_nonfinite(
            {
                "dtype": tensors.GRADIENT_DTYPES[g.dtype],
                "g": dense.data_ptr(),
                "numel": dense.numel(),
                "device": device,
                "stream": tensors.current_stream(device),
            }
        )
    return nonfinite
