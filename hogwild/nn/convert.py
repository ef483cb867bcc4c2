"""Replaces BatchNorm by Full Normalization, by GroupNorm or by the identity."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.lazy import LazyModuleMixin

from hogwild.nn.full_norm import FullNorm, FullNorm1d, FullNorm2d, FullNorm3d

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
MAX_GROUPS, LEAST_CHANNELS = 32, 4
_NEW_KINDS: tuple[type[FullNorm], ...] = (FullNorm1d, FullNorm2d, FullNorm3d)


def convert_full_norm(module: nn.Module, alpha: float = 0.1, alpha_decay: float = 0.0) -> nn.Module:
    """Replace every BatchNorm1d, 2d and 3d in a module by its Full Normalization.

    Args:     module: its BatchNorm layers are replaced in place; a layer that occurs twice is replaced by one layer.
              alpha, alpha_decay: of the new layers.
    Returns:  the module, or the new layer if it is itself a BatchNorm.
    Mutates:  module. weight and bias are the same parameters as before, so optimizers stay valid. mu = running_mean,
              nu = running_var + running_mean^2, num_batches_tracked as it was; the averages of gradients begin anew.
    Deviates: running_var is torch's unbiased estimate, nu has the biased variance from now on.
    Errors:   ValueError for a lazy layer that has not seen a batch.
    """
    return _replaced(module, partial(_full_norm, alpha=alpha, alpha_decay=alpha_decay))


def convert_group_norm(module: nn.Module) -> nn.Module:
    """Replace every BatchNorm1d, 2d and 3d by GroupNorm (Wu and He 2018, arXiv:1803.08494).

    Groups of 4 channels or more, 32 groups at most. The running statistics are dropped. Returns, Mutates, Errors: as
    convert_full_norm.
    """
    return _replaced(module, _group_norm)


def remove_batch_norm(module: nn.Module) -> nn.Module:
    """Replace every BatchNorm1d, 2d and 3d by the identity. Returns, Mutates, Errors: as convert_full_norm."""
    return _replaced(module, lambda _: nn.Identity())


def _replaced(module: nn.Module, new: Callable[[_BatchNorm], nn.Module]) -> nn.Module:
    _check_size(module)
    if isinstance(module, BATCH_NORMS):
        return new(module)
    converted: dict[nn.Module, nn.Module] = {}
    for parent in list(module.modules()):
        for name, child in parent._modules.items():
            _check_size(child)
            if isinstance(child, BATCH_NORMS):
                if child not in converted:
                    converted[child] = new(child)
                setattr(parent, name, converted[child])
    return module


def _group_norm(layer: _BatchNorm) -> nn.GroupNorm:
    most = max(1, min(MAX_GROUPS, layer.num_features // LEAST_CHANNELS))
    groups = max(count for count in range(1, most + 1) if layer.num_features % count == 0)
    new = nn.GroupNorm(groups, layer.num_features, layer.eps, layer.affine)
    if layer.affine:
        new.weight, new.bias = layer.weight, layer.bias
    return new.train(layer.training)


def _full_norm(layer: _BatchNorm, alpha: float, alpha_decay: float) -> FullNorm:
    mean, var = layer.running_mean, layer.running_var
    like = layer.weight if layer.affine else torch.empty(0) if mean is None else mean
    kind = next(new for new, old in zip(_NEW_KINDS, BATCH_NORMS, strict=True) if isinstance(layer, old))
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
