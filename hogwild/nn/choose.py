"""The normalisation of a model, chosen by name."""

from __future__ import annotations

from torch import nn

from hogwild.errors import UsageError
from hogwild.nn.convert import BATCH_NORMS, convert_full_norm, convert_group_norm, remove_batch_norm
from hogwild.nn.full_norm import FullNorm


def choose_norm(module: nn.Module, norm: str, alpha: float = 0.1) -> nn.Module:
    """`module` with each of its BatchNorm layers replaced by the norm called batch, full, group or none.

    Args:     alpha: of Full Normalization.
    Returns:  the module, or its replacement if it is itself a BatchNorm.
    Mutates:  module; draws no random numbers. Weights and biases stay the same parameters.
    Errors:   UsageError if there is no BatchNorm to replace and `norm` is not none.
    """
    if norm == "none":
        return remove_batch_norm(module)
    if not any(isinstance(layer, BATCH_NORMS) for layer in module.modules()):
        raise UsageError(
            f"--norm {norm} replaces BatchNorm layers, and the model has none: choose a model that has them, or leave "
            "--norm out"
        )
    if norm == "full":
        return convert_full_norm(module, alpha)
    return convert_group_norm(module) if norm == "group" else module


def full_norm_buffers(module: nn.Module) -> list[str]:
    """The names of the buffers of all Full Normalization layers, as in module.named_buffers()."""
    state = {
        id(buffer)
        for layer in module.modules()
        if isinstance(layer, FullNorm)
        for buffer in layer.buffers(recurse=False)
    }
    return [name for name, buffer in module.named_buffers() if id(buffer) in state]
