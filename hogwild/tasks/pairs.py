"""Makes Data from torch data sets, loaders, tensors or NumPy arrays: a training set, or a pair (train, test)."""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from hogwild.errors import HogwildError, UsageError
from hogwild.own_code import told
from hogwild.tasks.data import Data, NoSamples, Split
from hogwild.tasks.loaders import take_apart
from hogwild.tasks.objectives import IGNORED, mean_squared_error, sum_squared_error
from hogwild.tasks.splits import DatasetSplit, StreamSplit, TensorSplit
from hogwild.tasks.splits.dataset import Collate

_NEEDED = (
    "a training set or a pair (train, test) is needed, each a data set, a DataLoader or (inputs, targets) tensors or "
    "arrays; or hogwild.tasks.Data"
)

TRIED = 100


def to_data(value: object, name: str, collate: Collate | None = None, *, whole: bool = False) -> Data:
    """`value` itself if it is Data; otherwise Data made from a training set, or a pair (train, test), `value`.

    A member is a TensorDataset, a tuple (inputs, targets) of tensors or NumPy arrays, any data set with __len__ and
    __getitem__, an IterableDataset, a DataLoader of these, or a Split; the test set may be None. Integer targets mean
    classification (cross-entropy, accuracy); the number of classes comes from tensors of targets, or from a data set's
    `classes` or `targets`, and is 0 if the data set has neither. Floating point targets mean regression (mean squared
    error). `collate` joins samples to batches, which are pairs (inputs, targets) unless `whole`.
    Errors: UsageError naming the member and its fault.
    """
    if isinstance(value, Data):
        return value
    first, second = _members(value, name)
    lines: list[str] = []
    train = to_split(first, f"{name}: train", collate, whole=whole, lines=lines)
    test: Split = NoSamples()
    if second is not None:
        test = to_split(second, f"{name}: test", collate, whole=whole, lines=lines)
    inputs, targets = _first_readable(train, f"{name}: train")
    shape = tuple(inputs.shape[1:]) if isinstance(inputs, Tensor) else ()
    kind = "image" if len(shape) == 3 else "vector"
    data = Data(name, train, test, shape, classes=0, kind=kind, lines=tuple(lines))
    if isinstance(targets, Tensor) and targets.is_floating_point():
        data.metric, data.maximize = "mean_squared_error", False
        data.loss, data.score = mean_squared_error, sum_squared_error
    else:
        data.classes = max(map(_count_classes, (train, test)))
    return data


def _first_readable(split: Split, what: str) -> tuple[Any, Any]:
    """The first sample that can be read, as a batch of one. UsageError if none of the first TRIED can."""
    first: Exception | None = None
    for number in split.some(TRIED)[:1] if isinstance(split, StreamSplit) else torch.arange(min(len(split), TRIED)):
        try:
            return split.batch(number[None], train=False)
        except Exception as error:  # the caller's own code runs here
            first = first or error
    if isinstance(first, HogwildError):
        raise first
    assert first is not None, "a split has samples"
    raise UsageError(f"{what}: none of its first samples can be read; sample 0: {told(first)}") from first


def _members(value: object, name: str) -> tuple[object, object]:
    """(train, test) of what the caller gives: a pair of them, or the training set alone."""
    if isinstance(value, (tuple, list)) and not _is_pair_of_arrays(value):
        if len(value) != 2:
            raise UsageError(f"{name} gives a {type(value).__name__} of length {len(value)}; {_NEEDED}")
        return value[0], value[1]
    return value, None


def _is_pair_of_arrays(value: object) -> bool:
    """Whether it is (inputs, targets)."""
    return (
        isinstance(value, (tuple, list))
        and len(value) == 2
        and all(isinstance(part, (Tensor, np.ndarray)) for part in value)
    )


def to_split(
    member: object, what: str, collate: Collate | None = None, *, whole: bool = False, lines: list[str] | None = None
) -> Split:
    """One member of the pair as a Split. Raises UsageError if it is empty. Appends to `lines` what of a DataLoader
    cannot be kept.
    """
    trains = what.endswith("train")
    if isinstance(member, DataLoader):
        loader = take_apart(member, what, trains=trains)
        member, collate = loader.dataset, collate or loader.collate
        if lines is not None:
            lines += loader.lines
    if isinstance(member, IterableDataset):
        return _stream(member, what, collate, whole, trains)
    split = _as_split(member, what, collate, whole)
    if len(split) == 0:
        remedy = "; None in its place trains without evaluations" if what.endswith("test") else ""
        raise UsageError(f"{what} is empty{remedy}")
    return split


def _stream(dataset: IterableDataset[Any], what: str, collate: Collate | None, whole: bool, trains: bool) -> Split:
    """A stream to train with; one to evaluate with is read once, and kept."""
    try:
        samples = len(dataset)  # type: ignore[arg-type]  # some have a length
    except TypeError:
        samples = None
    if trains:
        return StreamSplit(dataset, collate, whole=whole, samples=samples)
    if samples is None:
        raise UsageError(
            f"{what} is {_a(dataset)}, an IterableDataset without __len__, and an evaluation must end: give "
            "it a length, or a map-style data set"
        )
    kept: Any = list(islice(iter(dataset), samples))
    return DatasetSplit(kept, collate, whole=whole)


def _as_split(member: object, what: str, collate: Collate | None, whole: bool) -> Split:
    if isinstance(member, Split):
        return member
    pair = member.tensors if isinstance(member, TensorDataset) else member
    if _is_pair_of_arrays(pair) and collate is None:
        assert isinstance(pair, (tuple, list))
        inputs, targets = (
            _tensor(part, f"{what}: {name}") for name, part in zip(("inputs", "targets"), pair, strict=True)
        )
        if len(inputs) != len(targets):
            raise UsageError(f"{what} has {len(inputs)} inputs but {len(targets)} targets")
        return TensorSplit(inputs, targets if targets.is_floating_point() else targets.long())
    if _is_pair_of_arrays(member):
        assert isinstance(member, (tuple, list))
        parts = [_tensor(part, f"{what}: {name}") for name, part in zip(("inputs", "targets"), member, strict=True)]
        member = TensorDataset(*parts)
    is_map_style = hasattr(member, "__getitem__") and hasattr(member, "__len__")
    if not is_map_style or isinstance(member, (tuple, list, dict, str, Tensor, np.ndarray)):
        raise UsageError(f"{what} is {_a(member)}; {_NEEDED}")
    return DatasetSplit(member, collate, whole=whole)  # type: ignore[arg-type]  # duck-typed: only __len__ and __getitem__ are used


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
