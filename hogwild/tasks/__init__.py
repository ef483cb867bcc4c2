"""Data sets and models by name. Importing this package and reading its registries need neither torch nor numpy."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from hogwild.errors import UsageError
from hogwild.tasks import own
from hogwild.tasks.catalog import DATASETS as DATASETS
from hogwild.tasks.catalog import find
from hogwild.tasks.inspect_data import check as check
from hogwild.tasks.inspect_data import describe as describe
from hogwild.tasks.inspect_data import get as get
from hogwild.tasks.inspect_data import load_known
from hogwild.tasks.locate import locate
from hogwild.tasks.models import MODELS as MODELS
from hogwild.tasks.models import build_known, default_for

if TYPE_CHECKING:
    from torch import nn

    from hogwild.tasks.data import Data as Data
    from hogwild.tasks.data import Split as Split
    from hogwild.tasks.pairs import to_data as to_data
    from hogwild.tasks.splits import DatasetSplit as DatasetSplit
    from hogwild.tasks.splits import ImageSplit as ImageSplit
    from hogwild.tasks.splits import SparseSplit as SparseSplit
    from hogwild.tasks.splits import TensorSplit as TensorSplit
    from hogwild.tasks.splits import TextSplit as TextSplit

_LAZY = {"Data": "data", "Split": "data", "to_data": "pairs"} | dict.fromkeys(
    ("DatasetSplit", "ImageSplit", "SparseSplit", "TensorSplit", "TextSplit"), "splits"
)


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)


def load(name: str, data_dir: str | os.PathLike[str] | None = None, *, download: bool = True) -> Data:
    """The data set `name`; for a `name` of the form "module:function", the data set that this function returns.

    The files are searched in data_dir, $HOGWILD_DATA/<name> and the cache, in this order. If none has them, they are
    downloaded, unless `download` is False or HOGWILD_OFFLINE is set. Every file is checked before it is used.
    Errors: UsageError (unknown name, own function unusable); DataError (missing, damaged, altered files).
    """
    if ":" in name:
        function = own.resolve(name, "--data")
        from hogwild.tasks.pairs import to_data

        return to_data(function(), name)
    source = find(name)
    return load_known(source, locate(source, data_dir, fetch=download))


def build_model(name: str, data: Data, norm: bool = False) -> nn.Module:
    """A new model `name` for `data`; for a `name` of the form "module:function", the model that this function makes.

    `norm`: use BatchNorm also in a registered model in which it is optional.
    Initialised from torch's default generator: the same seed gives the same parameters.
    Errors: UsageError (unknown name, a model for another kind of data, own function unusable).
    """
    if ":" not in name:
        return build_known(name, data, norm)
    function = own.resolve(name, "--model")
    model = own.call_model(function, data, f"--model {name}")
    from torch import nn

    if not isinstance(model, nn.Module):
        raise UsageError(f"--model {name} must return a torch.nn.Module; it returned {type(model).__name__}")
    return model


def default_model(name: str, data: Data | None = None) -> str:
    """The model for the data set `name`; for own data the first that fits the kind of `data`."""
    return default_for(data.kind if data is not None else "vector") if ":" in name else find(name).model
