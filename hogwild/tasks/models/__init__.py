"""The registered models: name, purpose and module. torch is imported only when a model is built."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hogwild.errors import UsageError
from hogwild.options import unknown

if TYPE_CHECKING:
    from torch import nn

    from hogwild.tasks.data import Data


@dataclass(frozen=True)
class Entry:
    """A model: one line about it, and the kinds of data it takes. Its module has build(data) -> nn.Module, or
    build(data, norm) if BatchNorm is optional.
    """

    summary: str
    kinds: tuple[str, ...]
    norm_is_optional: bool = False


ENTRIES = {
    "mlp": Entry("two-layer perceptron, 256 hidden units, ReLU", ("image", "vector"), True),
    "lenet": Entry("conv20-5x5, pool, conv50-5x5, pool, fc500, fc; 0.43 M parameters on 28x28", ("image",), True),
    "resnet20": Entry("ResNet-20 for small images, BatchNorm, option-A shortcuts; 0.27 M parameters", ("image",)),
    "logistic": Entry("logistic regression, dense or sparse (convex)", ("sparse", "vector", "image")),
    "charlm": Entry("causal transformer over characters, 3 layers of width 64; 0.16 M parameters", ("text",)),
    "mf": Entry("matrix factorisation of rank 16, two embedding tables with sparse gradients", ("ratings",)),
    "skipgram": Entry("skip-gram word vectors of width 64, two embedding tables with sparse gradients", ("words",)),
}
MODELS: dict[str, str] = {name: entry.summary for name, entry in ENTRIES.items()}


def default_for(kind: str) -> str:
    """The first registered model that takes data of `kind`."""
    return models_for(kind)[0]


def models_for(kind: str) -> list[str]:
    """The names of the models that take data of `kind`."""
    return [name for name, entry in ENTRIES.items() if kind in entry.kinds]


def build_known(name: str, data: Data, norm: bool = False) -> nn.Module:
    """The registered model `name`, sized for `data`. If `norm`, it has BatchNorm also where that is optional.

    Raises UsageError if the model does not fit the data.
    """
    if name not in ENTRIES:
        raise unknown("model", name, ENTRIES, "your own: --model module:function")
    if data.kind not in ENTRIES[name].kinds:
        fitting = ", ".join(models_for(data.kind)) or "none"
        raise UsageError(
            f"model {name!r} takes {' or '.join(ENTRIES[name].kinds)} data, {data.name} is {data.kind} data. "
            f"Models that fit: {fitting}; your own: --model module:function"
        )
    if data.classes < 1:
        raise UsageError(
            f"model {name!r} needs the number of classes, which {data.name} does not have: give its data set a "
            "`classes` list, return hogwild.tasks.Data with classes=..., or use your own --model module:function"
        )
    build = importlib.import_module(f"{__name__}.{name}").build
    model: nn.Module = build(data, norm) if ENTRIES[name].norm_is_optional else build(data)
    return model
