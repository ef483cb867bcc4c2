"""Losses and metrics of tasks. They are module-level functions, so that pickle can send them to the workers by name."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor

IGNORED = -100
"""The label of a position that counts neither in the loss nor in the metric; torch's default too."""


def cross_entropy(output: Tensor, target: Tensor) -> Tensor:
    """Mean of -log softmax(output)[target] over all positions, those labelled IGNORED excepted.

    Args:     output: [batch, classes] with target [batch], or [batch, length, classes] with target [batch, length]; a
              target may have one more dimension, of size 1. Class numbers are of any integer type, or bool.
    """
    labels = target.flatten()
    if not labels.is_floating_point():  # which torch refuses
        labels = labels.long()
    return F.cross_entropy(output.flatten(0, -2), labels, ignore_index=IGNORED)


def count_correct(output: Tensor, target: Tensor) -> tuple[float, int]:
    """(number of positions at which the largest output is the target, number of positions): the ratio is accuracy.

    Shapes as for cross_entropy; positions labelled IGNORED do not count.
    """
    return _count_right(output.argmax(-1), target)


def count_correct_channels(output: Tensor, target: Tensor) -> tuple[float, int]:
    """As count_correct, with the classes in dimension 1: output [batch, classes, ...], target [batch, ...]."""
    return _count_right(output.argmax(1), target)


def count_correct_signs(output: Tensor, target: Tensor) -> tuple[float, int]:
    """(number of outputs above 0 exactly where the target is 1, number of outputs), for logits of class 1.

    Args:     output: [batch] or [batch, 1]; target: 0 or 1, [batch] or [batch, 1], integer or floating point.
    """
    return _count_right((output.flatten() > 0).to(target.dtype), target.flatten())


def _count_right(predicted: Tensor, target: Tensor) -> tuple[float, int]:
    target = target.reshape(predicted.shape)
    counts = target != IGNORED
    return float(((predicted == target) & counts).sum()), int(counts.sum())


def mean_squared_error(output: Tensor, target: Tensor) -> Tensor:
    """Mean of (output - target)^2 over all elements; an output [batch, 1] is compared with a target [batch]."""
    return F.mse_loss(output.reshape(target.shape), target)


def sum_squared_error(output: Tensor, target: Tensor) -> tuple[float, int]:
    """(sum of (output - target)^2, number of elements): their ratio is the mean squared error."""
    return (output.detach().reshape(target.shape) - target).square().sum().item(), target.numel()


def sum_bits(output: Tensor, target: Tensor) -> tuple[float, int]:
    """(sum of -log2 softmax(output)[target], number of positions): their ratio is the bits per character."""
    nats = F.cross_entropy(output.detach().flatten(0, -2), target.flatten(), reduction="sum", ignore_index=IGNORED)
    return nats.item() / math.log(2.0), int((target != IGNORED).sum())
