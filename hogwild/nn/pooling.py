"""Statistics of normalisation layers: each worker keeps its own, and an evaluation pools them.

In shared memory all workers would read, scale and write BatchNorm's running statistics at once. These are moving
averages: a lost update would be a lost batch, and a torn pair (mean, variance) would describe no data at all. Each
worker therefore keeps its own buffers, and an evaluation combines them as if one worker had seen all batches:

    w_i  = n_i / sum_j n_j                      n_i = num_batches_tracked of worker i
    mean = sum_i w_i mean_i                     E[x]
    var  = sum_i w_i (var_i + mean_i^2) - mean^2                 E[x^2] - E[x]^2
         = sum_i w_i var_i + sum_i w_i (mean_i - mean)^2         the same, and never negative in floating point

Averaging the variances alone would drop the second sum: the spread between the workers' means. Full Normalization keeps
E[x] and E[x^2], which are linear: they are averaged with the same weights w_i. Its averages of gradients are averaged
with weights from num_gradients_tracked. If all workers share its state, all copies are equal, and so is their mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

_BATCHES, _MEAN, _VAR = "num_batches_tracked", "running_mean", "running_var"
_COUNTERS = (_BATCHES, "num_gradients_tracked")
_LINEAR = {  # buffer of Full Normalization -> the counter of the values of which it is a mean
    "running_mean": _BATCHES,
    "running_square": _BATCHES,
    "running_mean_grad": "num_gradients_tracked",
    "running_square_grad": "num_gradients_tracked",
}


def pooled_buffers(module: nn.Module, per_worker: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The buffers of `module` for evaluation, computed from those of its workers' copies.

    Args:     module: gives the names, and the initial values; not modified.
              per_worker: one mapping name -> tensor per worker, as dict(copy.named_buffers()); not modified.
    Returns:  new tensors, one for each name in module.named_buffers(), with its dtype, on its device. Layers with
              running statistics follow the equations above; a worker without batches has weight 0, and if no worker
              has a batch the initial values stay. Other buffers: the mean over the workers for floating point, the
              maximum for integers and booleans (also for num_batches_tracked, the age of one worker's average).
    Races:    workers may write per_worker meanwhile; (mean, var, count) of a layer may then be of different batches.
    Errors:   ValueError if a worker lacks a buffer or has it in another shape.
    Deviates: batches count equally, whatever their size; var_i is torch's running estimate (unbiased per batch).
    """
    return pooled(dict(module.named_buffers()), per_worker)


def counted_buffers(module: nn.Module, per_worker: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The same with counters that are sums over the workers: pooled once more with those of other groups of workers,
    every batch counts alike.
    """
    found = pooled_buffers(module, per_worker)
    for name in found:
        if name.split(".")[-1] in _COUNTERS:
            found[name] = torch.stack([buffers[name] for buffers in per_worker]).sum(0)
    return found


def pooled(initial: Mapping[str, Tensor], per_worker: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The same for a module with these buffers."""
    for rank, buffers in enumerate(per_worker):
        for name, own in initial.items():
            if name not in buffers:
                raise ValueError(f"worker {rank} has no buffer {name!r}")
            if (shape := buffers[name].shape) != own.shape:
                raise ValueError(f"worker {rank}: {name} is {list(shape)}, {list(own.shape)} in the module")
    if not per_worker:
        return {name: own.detach().clone() for name, own in initial.items()}
    # [workers, ...] on the module's device
    stacked = {
        name: torch.stack([buffers[name].detach().to(own.device) for buffers in per_worker])
        for name, own in initial.items()
    }
    found = {name: _combine(values) for name, values in stacked.items()}
    for layer in _layers_with_statistics(initial):
        mean, var = layer + _MEAN, layer + _VAR
        batches = stacked[layer + _BATCHES].double()
        if batches.sum() > 0:
            values = _pool(stacked[mean].double(), stacked[var].double(), batches)
        else:
            values = (initial[mean].detach().clone(), initial[var].detach().clone())
        found[mean], found[var] = (value.to(initial[mean].dtype) for value in values)
    for layer in _full_norms(initial):
        for name, counter in _LINEAR.items():
            own, count = initial[layer + name], stacked[layer + counter].double()
            mean_of = own if count.sum() == 0 else _mean(stacked[layer + name].double(), count)
            found[layer + name] = mean_of.detach().clone().to(own.dtype)
    return found


def _pool(mean: Tensor, var: Tensor, batches: Tensor) -> tuple[Tensor, Tensor]:
    """Equations above; mean, var [workers, features], batches [workers], float64."""
    pooled_mean = _mean(mean, batches)
    return pooled_mean, _mean(var + (mean - pooled_mean).square(), batches)


def _mean(values: Tensor, batches: Tensor) -> Tensor:
    """sum_i w_i values_i [features]; workers without batches have weight 0."""
    return ((batches / batches.sum())[:, None] * values).sum(0)


def _layers_with_statistics(names: Mapping[str, Tensor]) -> list[str]:
    prefixes = [name.removesuffix(_BATCHES) for name in names if name.split(".")[-1] == _BATCHES]
    return [prefix for prefix in prefixes if prefix + _MEAN in names and prefix + _VAR in names]


def _full_norms(names: Mapping[str, Tensor]) -> list[str]:
    prefixes = [name.removesuffix("running_square") for name in names if name.split(".")[-1] == "running_square"]
    return [prefix for prefix in prefixes if all(prefix + name in names for name in (*_LINEAR, *_LINEAR.values()))]


def _combine(values: Tensor) -> Tensor:
    if values.is_floating_point() or values.is_complex():
        return values.mean(0)
    return values.amax(0)
