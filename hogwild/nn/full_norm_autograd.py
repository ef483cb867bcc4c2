"""Full Normalization as an autograd function. The equations are in hogwild/nn/full_norm.py."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hogwild.kernels import norm_backward, norm_forward


def _gradients(
    g: Tensor,
    x: Tensor,
    weight: Tensor | None,
    saved: Tensor,
    state: list[Tensor],
    schedule: tuple[float, float],
    wants_x: bool,
) -> tuple[Tensor | None, Tensor, Tensor]:
    alpha, decay = schedule
    return norm_backward(g, x, weight, saved, *state, alpha=alpha, alpha_decay=decay, wants_x=wants_x)


class _Gradients(torch.autograd.Function):
    """The backward pass as an autograd function. Its own backward pass raises: there is no second derivative."""

    @staticmethod
    def forward(_ctx: Any, *arguments: Any) -> tuple[Tensor | None, Tensor, Tensor]:
        return _gradients(*arguments)

    @staticmethod
    def backward(_ctx: Any, *_grads: Tensor) -> Any:
        raise RuntimeError(
            "FullNorm has no second derivative, because its gradient is a running average: use BatchNorm instead"
        )


class Normalise(torch.autograd.Function):
    """The forward pass. `state` and `schedule` are described at normalise."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        state: tuple[Tensor, ...],
        schedule: tuple[float, float],
        eps: float,
    ) -> Tensor:
        mu, nu, batches, *ctx.gradient_state = state
        ctx.schedule = schedule
        y, saved = norm_forward(x, weight, bias, mu, nu, batches, alpha=schedule[0], alpha_decay=schedule[1], eps=eps)
        ctx.save_for_backward(x, weight, saved)
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, saved = ctx.saved_tensors
        wants_x, wants_weight, wants_bias, *_ = ctx.needs_input_grad
        # Autograd records this pass only under create_graph. Otherwise a plain call is enough, and faster.
        gradients = _Gradients.apply if torch.is_grad_enabled() else _gradients
        dx, dweight, dbias = gradients(g, x, weight, saved, ctx.gradient_state, ctx.schedule, wants_x)
        return dx, dweight if wants_weight else None, dbias if wants_bias else None, None, None, None


def normalise(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    state: tuple[Tensor, ...],
    schedule: tuple[float, float],
    eps: float,
) -> Tensor:
    """y of a training pass. Updates mu, nu and batches at once, and G_mu, G_nu and gradients in the backward pass.

    Args:     x, weight, bias, eps: as norm_forward.  schedule: (alpha, alpha_decay).
              state: (mu, nu, batches, G_mu, G_nu, gradients), the two counters [] int64.
    Errors:   as norm_forward; RuntimeError for a second derivative.
    Deviates: torch.compile breaks its graph here.
    """
    apply = Normalise.apply
    if torch.compiler.is_compiling():  # the module imports the compiler, which costs a process more than a second
        from hogwild.nn.full_norm_untraced import apply
    y: Tensor = apply(x, weight, bias, state, schedule, eps)  # type: ignore[no-untyped-call]
    return y
