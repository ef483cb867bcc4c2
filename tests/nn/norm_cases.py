"""Layers beside their BatchNorm, inputs for them, and the results of one forward and backward pass."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hogwild.nn import FullNorm1d, FullNorm2d, FullNorm3d
from hogwild.nn.full_norm import FullNorm

KINDS = [
    (FullNorm1d, nn.BatchNorm1d, (33, 7)),
    (FullNorm1d, nn.BatchNorm1d, (9, 7, 5)),
    (FullNorm2d, nn.BatchNorm2d, (5, 19, 7, 3)),
    (FullNorm3d, nn.BatchNorm3d, (3, 5, 2, 3, 4)),
]
SHAPES = [shape for _, _, shape in KINDS]
TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-12}


def samples(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return (torch.randn(shape, dtype=torch.float64) * 2 + 1).to(dtype)


def kind_for(shape: tuple[int, ...]) -> type[FullNorm]:
    return next(kind for kind, _, other in KINDS if len(other) == len(shape))


def with_random_parameters(*layers: nn.Module) -> None:
    for parameter in layers[0].parameters():
        nn.init.uniform_(parameter, 0.5, 2.0)
    for layer in layers[1:]:
        for mine, first in zip(layer.parameters(), layers[0].parameters(), strict=True):
            mine.data.copy_(first)


def passes(layer: nn.Module, x: Tensor, g: Tensor) -> list[Tensor]:
    """y and the gradients of x, weight, bias, in float64."""
    x = x.clone().requires_grad_()
    y = layer(x)
    parameters = list(layer.parameters())
    return [t.detach().double() for t in (y, *torch.autograd.grad(y, [x, *parameters], g))]


def error(got: Tensor, want: Tensor) -> float:
    return float((got - want).abs().max() / want.abs().max())
