"""Losses and metrics of tasks. They are module-level functions, so that pickle can send them to the workers by name."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor


def cross_entropy(output: Tensor, target: Tensor) -> Tensor:
    """Mean of -log softmax(output)[target] over all positions.

    Args:     output: [batch, classes] with target [batch], or [batch, length, classes] with target [batch, length].
    """
    return F.cross_entropy(output.flatten(0, -2), target.flatten())


def count_correct(output: Tensor, target: Tensor) -> tuple[float, int]:
    """(number of positions at which the largest output is the target, number of positions): the ratio is accuracy."""
    return float((output.argmax(-1) == target).sum()), target.numel()


def mean_squared_error(output: Tensor, target: Tensor) -> Tensor:
    """Mean of (output - target)^2 over all elements; an output [batch, 1] is compared with a target [batch]."""
    return F.mse_loss(output.view_as(target), target)


def sum_squared_error(output: Tensor, target: Tensor) -> tuple[float, int]:
    """(sum of (output - target)^2, number of elements): their ratio is the mean squared error."""
    return (output.detach().view_as(target) - target).square().sum().item(), target.numel()


def sum_bits(output: Tensor, target: Tensor) -> tuple[float, int]:
    """(sum of -log2 softmax(output)[target], number of positions): their ratio is the bits per character."""
    nats = F.cross_entropy(output.detach().flatten(0, -2), target.flatten(), reduction="sum")
    return nats.item() / math.log(2.0), target.numel()
