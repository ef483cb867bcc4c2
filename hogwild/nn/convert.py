"""From BatchNorm to Full Normalization."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.lazy import LazyModuleMixin

from hogwild.nn.full_norm import FullNorm, FullNorm1d, FullNorm2d, FullNorm3d

_KINDS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_NEW_KINDS: tuple[type[FullNorm], ...] = (FullNorm1d, FullNorm2d, FullNorm3d)


def convert_full_norm(module: nn.Module, alpha: float = 0.1, alpha_decay: float = 0.0) -> nn.Module:
    """Replace every BatchNorm1d, 2d and 3d in a module by its Full Normalization.

    Args:     module: its BatchNorm layers are replaced in place; layers that occur twice stay one.
              alpha, alpha_decay: of the new layers.
    Returns:  the module, or the new layer if it is itself a BatchNorm.
    Mutates:  module. weight and bias are the same parameters as before, so optimizers stay valid. mu = running_mean,
              nu = running_var + running_mean^2, num_batches_tracked as it was; the averages of gradients begin anew.
    Deviates: running_var is torch's unbiased estimate, nu has the biased variance from now on.
    Errors:   ValueError for a lazy layer that has not seen a batch.
    """
    _check_size(module)
    if isinstance(module, _KINDS):
        return _full_norm(module, alpha, alpha_decay)
    converted: dict[nn.Module, FullNorm] = {}
    for parent in list(module.modules()):
        for name, child in parent._modules.items():
            _check_size(child)
            if isinstance(child, _KINDS):
                if child not in converted:
                    converted[child] = _full_norm(child, alpha, alpha_decay)
                setattr(parent, name, converted[child])
    return module


def _full_norm(layer: _BatchNorm, alpha: float, alpha_decay: float) -> FullNorm:
    mean, var = layer.running_mean, layer.running_var
    like = layer.weight if layer.affine else torch.empty(0) if mean is None else mean
    kind = next(new for new, old in zip(_NEW_KINDS, _KINDS, strict=True) if isinstance(layer, old))
    new = kind(
        layer.num_features,
        layer.eps,
        alpha,
        layer.affine,
        mean is not None,
        device=like.device,
        dtype=like.dtype,
        alpha_decay=alpha_decay,
    )
    if layer.affine:
        new.weight, new.bias = layer.weight, layer.bias
    if mean is not None and var is not None:
        new.get_buffer("running_mean").copy_(mean)
        new.get_buffer("running_square").copy_(var.double() + mean.double().square())
        new.get_buffer("num_batches_tracked").copy_(layer.get_buffer("num_batches_tracked"))
    return new.train(layer.training)


def _check_size(layer: nn.Module | None) -> None:
    if isinstance(layer, _BatchNorm) and isinstance(layer, LazyModuleMixin):
        raise ValueError(f"{type(layer).__name__} does not know its size: pass one batch through it, then convert")
