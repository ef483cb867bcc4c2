"""Makes Data from a pair (train, test) of torch data sets, of tensors or of NumPy arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from hogwild.errors import HogwildError, UsageError
from hogwild.own_code import told
from hogwild.tasks.data import Data, NoSamples, Split
from hogwild.tasks.objectives import IGNORED, mean_squared_error, sum_squared_error
from hogwild.tasks.splits import DatasetSplit, TensorSplit

_NEEDED = (
    "hogwild.tasks.Data or a pair (train, test) of map-style data sets or (inputs, targets) tensors or arrays is needed"
)

TRIED = 100


def to_data(value: object, name: str) -> Data:
    """`value` itself if it is Data; otherwise Data made from the pair (train, test) `value`.

    A member of the pair is a TensorDataset, a tuple (inputs, targets) of tensors or NumPy arrays, any data set with
    __len__ and __getitem__, or a Split; the test set may be None. Integer targets mean classification (cross-entropy,
    accuracy); the number of classes comes from tensors of targets, or from a data set's `classes` or `targets`, and is
    0 if the data set has neither. Floating point targets mean regression (mean squared error).
    Errors: UsageError naming the member and its fault.
    """
    if isinstance(value, Data):
        return value
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        length = f" of length {len(value)}" if isinstance(value, (tuple, list)) else ""
        raise UsageError(f"{name} gives a {type(value).__name__}{length}; {_NEEDED}")
    train = to_split(value[0], f"{name}: train")
    test = NoSamples() if value[1] is None else to_split(value[1], f"{name}: test")
    inputs, targets = _first_readable(train, f"{name}: train")
    shape = tuple(inputs.shape[1:]) if isinstance(inputs, Tensor) else ()
    data = Data(name, train, test, shape, classes=0, kind="image" if len(shape) == 3 else "vector")
    if isinstance(targets, Tensor) and targets.is_floating_point():
        data.metric, data.maximize = "mean_squared_error", False
        data.loss, data.score = mean_squared_error, sum_squared_error
    else:
        data.classes = max(map(_count_classes, (train, test)))
    return data


def _first_readable(split: Split, what: str) -> tuple[Any, Any]:
    """The first sample that can be read, as a batch of one. UsageError if none of the first TRIED can."""
    first: Exception | None = None
    for number in range(min(len(split), TRIED)):
        try:
            return split.batch(torch.tensor([number]), train=False)
        except Exception as error:  # the caller's own code runs here
            first = first or error
    if isinstance(first, HogwildError):
        raise first
    assert first is not None, "a split has samples"
    raise UsageError(f"{what}: none of its first samples can be read; sample 0: {told(first)}") from first


def to_split(member: object, what: str) -> Split:
    """One member of the pair as a Split. Raises UsageError if it is empty."""
    split = _as_split(member, what)
    if len(split) == 0:
        remedy = "; None in its place trains without evaluations" if what.endswith("test") else ""
        raise UsageError(f"{what} is empty{remedy}")
    return split


def _as_split(member: object, what: str) -> Split:
    if isinstance(member, Split):
        return member
    pair = member.tensors if isinstance(member, TensorDataset) else member
    if isinstance(pair, (tuple, list)) and len(pair) == 2 and all(isinstance(t, (Tensor, np.ndarray)) for t in pair):
        inputs, targets = (
            _tensor(part, f"{what}: {name}") for name, part in zip(("inputs", "targets"), pair, strict=True)
        )
        if len(inputs) != len(targets):
            raise UsageError(f"{what} has {len(inputs)} inputs but {len(targets)} targets")
        return TensorSplit(inputs, targets if targets.is_floating_point() else targets.long())
    if isinstance(member, DataLoader):
        raise UsageError(f"{what} is a DataLoader, and hogwild makes the batches itself: give its .dataset")
    if isinstance(member, IterableDataset):
        raise UsageError(
            f"{what} is {_a(member)}, an IterableDataset, and hogwild deals samples out by their numbers: give a "
            "map-style data set, with __len__ and __getitem__"
        )
    is_map_style = hasattr(member, "__getitem__") and hasattr(member, "__len__")
    if not is_map_style or isinstance(member, (tuple, list, dict, str, Tensor, np.ndarray)):
        raise UsageError(f"{what} is {_a(member)}; {_NEEDED}")
    return DatasetSplit(member)  # type: ignore[arg-type]  # duck-typed: only __len__ and __getitem__ are used


def _tensor(values: Tensor | np.ndarray[Any, Any], what: str) -> Tensor:
    """`values` as a tensor with a first dimension, over the same memory where torch can have it."""
    if isinstance(values, np.ndarray):
        if values.dtype.kind not in "biuf":
            raise UsageError(f"{what} is an array of {values.dtype}; numbers are needed")
        native = np.dtype(values.dtype.newbyteorder("=")).type
        usual = {np.uint16: np.int32, np.uint32: np.int64, np.uint64: np.int64, np.longdouble: np.float64}
        whole = np.ascontiguousarray(values, dtype=usual.get(native, native))
        values = torch.from_numpy(whole if whole.flags.writeable else whole.copy())
    if values.dim() == 0 or values.is_complex():
        raise UsageError(
            f"{what} has shape {list(values.shape)} and type {values.dtype}; [samples, ...] real numbers are needed"
        )
    return values.detach()


def _a(value: object) -> str:
    name = type(value).__name__
    kinds = f" of {', '.join(type(part).__name__ for part in value)}" if isinstance(value, tuple) and value else ""
    return f"a {name}{kinds if len(kinds) < 60 else ''}"


def _count_classes(split: Split) -> int:
    if isinstance(split, TensorSplit):
        known = split.targets[split.targets != IGNORED]
        return int(known.max()) + 1 if len(known) else 0
    dataset: Any = getattr(split, "dataset", None)
    if hasattr(dataset, "classes"):
        return len(dataset.classes)
    if hasattr(dataset, "targets"):
        return int(torch.as_tensor(dataset.targets).max()) + 1
    return 0
