"""The model of a run: a registered one or the caller's own, with the normalisation that the run asks for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from hogwild.config import Config
from hogwild.nn.choose import choose_norm, full_norm_buffers
from hogwild.shared.layout import require_real_values
from hogwild.shared.seeds import own_generators
from hogwild.tasks import build_model
from hogwild.tasks.data import Data

ModelFn = Callable[[Data], nn.Module]


def model_fn(config: Config) -> ModelFn:
    """A function that makes the model that `config` names; it can be sent to a worker."""
    return partial(build_model, config.model, norm=config.norm not in (None, "none"))


def build(config: Config, data: Data, make: ModelFn) -> nn.Module:
    """A new model in the dtype of the master: the same for the same seed, in every process. The caller's generators of
    random numbers stay as they are.

    UsageError if it cannot be trained here, or has no layer that --norm could replace.
    """
    with own_generators(config.seed):
        module = make(data)
    require_real_values(module)
    if config.norm is not None:
        module = choose_norm(module, config.norm, config.norm_alpha or 0.0)
    return module.to(getattr(torch, config.dtype))


def takes_batch_statistics(module: nn.Module) -> bool:
    """Whether a layer of the module normalises by the statistics of the batch when it is trained. Puts it in training
    mode, where layers that stay in evaluation mode are none of these.
    """
    return any(isinstance(layer, _BatchNorm) and layer.training for layer in module.train().modules())


def smallest_batch(module: nn.Module, batch_size: int) -> int:
    """The number of samples that a batch of which some cannot be read must still have. Puts the module in training
    mode.
    """
    return 2 if batch_size > 1 and takes_batch_statistics(module) else 1


def shared_buffers(config: Config, module: nn.Module) -> list[str]:
    """The names of the module's own buffers that all workers share: the averages of Full Normalization.

    A single worker has nothing to share: its averages are published with its updates, as all private buffers are, so
    that a checkpoint does not contain a batch that is computed again after a crash.
    """
    return full_norm_buffers(module) if config.norm_state == "shared" and config.workers > 1 else []


def remedy(config: Config) -> str:
    """Advice against non-finite gradients, for messages."""
    return "lower --lr or --clip" if config.clip else "lower --lr or give --clip"
