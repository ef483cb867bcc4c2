"""Makes Data from a pair (train, test) of torch data sets or of tensors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from hogwild.errors import UsageError
from hogwild.tasks.data import Data, Split
from hogwild.tasks.objectives import mean_squared_error, sum_squared_error
from hogwild.tasks.splits import DatasetSplit, TensorSplit

_NEEDED = "hogwild.tasks.Data or a pair (train, test) of map-style data sets or (inputs, targets) tensors is needed"


def to_data(value: object, name: str) -> Data:
    """`value` itself if it is Data; otherwise Data made from the pair (train, test) `value`.

    A member of the pair is a TensorDataset, a tuple (inputs, targets) of tensors, any data set with __len__ and
    __getitem__, or a Split. Integer targets mean classification (cross-entropy, accuracy); the number of classes comes
    from tensors of targets, or from a data set's `classes` or `targets`, and is 0 if the data set has neither. Floating
    point targets mean regression (mean squared error).
    Errors: UsageError naming the member and its fault.
    """
    if isinstance(value, Data):
        return value
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        length = f" of length {len(value)}" if isinstance(value, (tuple, list)) else ""
        raise UsageError(f"{name} gives {_a(value)}{length}; {_NEEDED}")
    train, test = (to_split(member, f"{name}: {part}") for part, member in zip(("train", "test"), value, strict=True))
    inputs, targets = train.batch(torch.zeros(1, dtype=torch.int64), train=False)
    shape = tuple(inputs.shape[1:]) if isinstance(inputs, Tensor) else ()
    data = Data(name, train, test, shape, classes=0, kind="image" if len(shape) == 3 else "vector")
    if isinstance(targets, Tensor) and targets.is_floating_point():
        data.metric, data.maximize = "mean_squared_error", False
        data.loss, data.score = mean_squared_error, sum_squared_error
    else:
        data.classes = max(map(_count_classes, (train, test)))
    return data


def to_split(member: object, what: str) -> Split:
    """One member of the pair as a Split. Raises UsageError if it is empty."""
    split = _as_split(member, what)
    if len(split) == 0:
        raise UsageError(f"{what} is empty")
    return split


def _as_split(member: object, what: str) -> Split:
    if isinstance(member, Split):
        return member
    tensors = member.tensors if isinstance(member, TensorDataset) else member
    if isinstance(tensors, (tuple, list)) and len(tensors) == 2 and all(isinstance(t, Tensor) for t in tensors):
        inputs, targets = tensors
        if len(inputs) != len(targets):
            raise UsageError(f"{what} has {len(inputs)} inputs but {len(targets)} targets")
        return TensorSplit(inputs, targets if targets.is_floating_point() else targets.long())
    is_map_style = hasattr(member, "__getitem__") and hasattr(member, "__len__")
    if not is_map_style or isinstance(member, (tuple, list, str, Tensor)):
        raise UsageError(f"{what} is {_a(member)}; {_NEEDED}")
    return DatasetSplit(member)  # type: ignore[arg-type]  # duck-typed: only __len__ and __getitem__ are used


def _a(value: object) -> str:
    return f"a {type(value).__name__}"


def _count_classes(split: Split) -> int:
    if isinstance(split, TensorSplit):
        return int(split.targets.max()) + 1
    dataset: Any = getattr(split, "dataset", None)
    if hasattr(dataset, "classes"):
        return len(dataset.classes)
    if hasattr(dataset, "targets"):
        return int(torch.as_tensor(dataset.targets).max()) + 1
    return 0
