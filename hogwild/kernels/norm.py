"""Full Normalization, forward and backward (csrc/norm.h): two passes over a batch, statistics moved in place."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from hogwild import _C
from hogwild.kernels import tensors

_INPUTS = {torch.float32: (torch.float32, torch.bfloat16), torch.float64: (torch.float64,)}  # by the statistics' dtype


def norm_forward(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    mu: Tensor,
    nu: Tensor,
    count: Tensor,
    *,
    alpha: float,
    alpha_decay: float = 0.0,
    eps: float = 1e-5,
) -> tuple[Tensor, Tensor]:
    """Normalise a batch by the running statistics, which are updated with this batch first.

        count <- count + 1,   a = max(alpha / count^alpha_decay, 1 / count)
        mu <- (1 - a) mu + a mean x,   nu <- (1 - a) nu + a mean x^2
        y = weight (x - mu) / sqrt(max(nu - mu^2, 0) + eps) + bias

    Args:    x: [N, C, *] float32 or bfloat16 (mu: float32), float64 (mu: float64, CPU only); contiguous or channels
             last, anything else is copied.  weight, bias: [C] like mu, or None for 1 and 0.  mu, nu: [C].
             count: [] int64.
    Returns: y like x, and what norm_backward needs: [3, C] like mu.
    Mutates: mu, nu, count; not at all for an empty batch, and a channel whose statistics would become infinite or NaN
             keeps those it has (its y is not finite).
    Races:   mu, nu and count may be shared by processes, without locks: a lost update loses one batch, and mu may be
             newer than nu, so nu - mu^2 is clamped at 0. Elements are never torn. `y` is computed with the values that
             this call wrote.
    Raises:  ValueError if shapes, dtypes or devices do not fit.
    """
    _check_input(x, mu)
    _check_channels(mu, weight=weight, bias=bias, nu=nu)
    _check_count(count, mu)
    x, shape = _dense(x)
    y, saved = torch.empty_like(x), mu.new_zeros(3, mu.numel())
    if x.numel():
        device = tensors.device_index(x)
        _C.norm_forward(
            {
                "master": tensors.MASTER_DTYPES[mu.dtype],
                "input": tensors.GRADIENT_DTYPES[x.dtype],
                "outer": shape.outer,
                "channels": shape.channels,
                "inner": shape.inner,
                "x": x.data_ptr(),
                "weight": tensors.address(weight),
                "bias": tensors.address(bias),
                "y": y.data_ptr(),
                "saved": saved.data_ptr(),
                "mu": mu.data_ptr(),
                "nu": nu.data_ptr(),
                "count": count.data_ptr(),
                "alpha": alpha,
                "decay": alpha_decay,
                "eps": eps,
                "device": device,
                "stream": tensors.current_stream(device),
            }
        )
    return y, saved


def norm_backward(
    g: Tensor,
    x: Tensor,
    weight: Tensor | None,
    saved: Tensor,
    mu_grad: Tensor,
    nu_grad: Tensor,
    count: Tensor,
    *,
    alpha: float,
    alpha_decay: float = 0.0,
    wants_x: bool = True,
) -> tuple[Tensor | None, Tensor, Tensor]:
    """The gradients of one batch; the gradient of x uses running averages of dL/dmu and dL/dnu.

        count <- count + 1, a as in norm_forward;   r = 1 / sqrt(var + eps), r' = -r^3 / 2, or 0 where var was clamped
        b_nu = weight r' sum g (x - mu),   b_mu = -weight r sum g - 2 mu b_nu                  of this batch
        mu_grad <- (1 - a) mu_grad + a b_mu,   nu_grad <- (1 - a) nu_grad + a b_nu
        dx = weight r g + (mu_grad + 2 x nu_grad) / m,   m = x.numel() / C
        dweight = r sum g (x - mu),   dbias = sum g

    Args:    g: dL/dy, like x.  x, weight, saved: of norm_forward.  mu_grad, nu_grad: [C].  count: [] int64, the number
             of backward passes, separate from that of norm_forward, because there may be fewer. wants_x: whether to
             compute dx.
    Returns: dx like x or None, dweight and dbias [C].
    Mutates: mu_grad, nu_grad, count; nothing for an empty batch, and no channel that would become infinite or NaN.
    Races:   as norm_forward.
    Raises:  ValueError if shapes, dtypes or devices do not fit.
    """
    _check_input(x, mu_grad)
    if g.shape != x.shape or g.dtype != x.dtype or g.device != x.device:
        raise ValueError(f"g is {_words(g)}, but x is {_words(x)}: a gradient is like its input")
    _check_channels(mu_grad, weight=weight, nu_grad=nu_grad)
    if saved.shape != (3, mu_grad.numel()) or saved.dtype != mu_grad.dtype or not saved.is_contiguous():
        raise ValueError(f"saved is {_words(saved)}: pass what norm_forward returned")
    _check_count(count, mu_grad)
    x, shape = _dense(x)
    g = _like(g, x)
    dx = torch.empty_like(x) if wants_x else None
    dweight, dbias = torch.zeros_like(mu_grad), torch.zeros_like(mu_grad)
    if x.numel():
        device = tensors.device_index(x)
        _C.norm_backward(
            {
                "master": tensors.MASTER_DTYPES[mu_grad.dtype],
                "input": tensors.GRADIENT_DTYPES[x.dtype],
                "outer": shape.outer,
                "channels": shape.channels,
                "inner": shape.inner,
                "g": g.data_ptr(),
                "x": x.data_ptr(),
                "weight": tensors.address(weight),
                "saved": saved.data_ptr(),
                "dx": tensors.address(dx),
                "weight_grad": dweight.data_ptr(),
                "bias_grad": dbias.data_ptr(),
                "mu_grad": mu_grad.data_ptr(),
                "nu_grad": nu_grad.data_ptr(),
                "count": count.data_ptr(),
                "alpha": alpha,
                "decay": alpha_decay,
                "device": device,
                "stream": tensors.current_stream(device),
            }
        )
    return dx, dweight, dbias


class _Shape(NamedTuple):
    """Element (n, c, s) is at (n channels + c) inner + s; inner is 1 if the channels are last in memory."""

    outer: int
    channels: int
    inner: int


def _dense(x: Tensor) -> tuple[Tensor, _Shape]:
    """x, copied if necessary, and its shape in memory."""
    channels = x.shape[1]
    inner = x[0, 0].numel() if x.numel() else 1
    if inner > 1 and not x.is_contiguous() and not x.movedim(1, -1).is_contiguous():
        x = x.contiguous()
    if inner > 1 and x.is_contiguous():
        return x, _Shape(outer=x.shape[0], channels=channels, inner=inner)
    return _rows(x), _Shape(outer=x.numel() // max(channels, 1), channels=channels, inner=1)


def _rows(x: Tensor) -> Tensor:
    return x.movedim(1, -1).contiguous().movedim(-1, 1)


def _like(g: Tensor, x: Tensor) -> Tensor:
    """g with the strides of x, which is dense."""
    return g.contiguous() if x.is_contiguous() else _rows(g)


def _words(tensor: Tensor) -> str:
    return f"{list(tensor.shape)} {tensor.dtype} on {tensor.device}"


def _check_input(x: Tensor, mu: Tensor) -> None:
    if mu.dtype not in _INPUTS:
        raise ValueError(f"statistics are {mu.dtype}: keep them float32, or float64 on the CPU")
    if x.dtype not in _INPUTS[mu.dtype]:
        names = " or ".join(map(str, _INPUTS[mu.dtype]))
        raise ValueError(f"x is {x.dtype}: with {mu.dtype} statistics it is {names}")
    if x.device != mu.device or x.device.type not in ("cpu", "cuda"):
        raise ValueError(f"x is on {x.device}, the statistics on {mu.device}: both go on the CPU or one CUDA device")
    if x.is_cuda and x.dtype is torch.float64:
        raise ValueError("float64 statistics are for the CPU: use float32 on CUDA")
    if x.dim() < 2 or mu.shape != (x.shape[1],):
        raise ValueError(f"x is {list(x.shape)}, the statistics {list(mu.shape)}: expected [N, C, *] and [C]")


def _check_channels(like: Tensor, **buffers: Tensor | None) -> None:
    """Checks that each tensor is None, or [C] and contiguous like the statistics."""
    for name, tensor in {"the statistics": like, **buffers}.items():
        if tensor is not None and (
            tensor.shape != like.shape
            or tensor.dtype != like.dtype
            or tensor.device != like.device
            or not tensor.is_contiguous()
        ):
            raise ValueError(f"{name}: {_words(tensor)}, expected a contiguous {_words(like)}")


def _check_count(count: Tensor, mu: Tensor) -> None:
    if count.numel() != 1 or count.dtype is not torch.int64 or count.device != mu.device:
        raise ValueError(f"count is {_words(count)}: expected one torch.int64 on {mu.device}")
