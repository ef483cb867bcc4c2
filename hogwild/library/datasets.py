"""The data that a caller gives to hogwild.fit."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from dataclasses import replace
from typing import Any

from torch.utils.data import DataLoader

from hogwild.errors import UsageError
from hogwild.tasks import load
from hogwild.tasks.data import Data
from hogwild.tasks.loaders import take_apart
from hogwild.tasks.pairs import to_data, to_split

Collate = Callable[[list[Any]], Any]


def data_of(
    dataset: object, values: MutableMapping[str, Any], collate: Collate | None, *, whole: bool, name: str
) -> tuple[Data, str]:
    """The Data for `dataset`, and the name for the configuration: its own if it has one, else `name`.

    Mutates: `values`, the options that are given, which get the batch size and drop_last of a DataLoader.
    """
    if isinstance(dataset, str):
        if collate is not None:
            raise UsageError(f"collate_fn is for a data set of your own; {dataset} makes its batches itself")
        return load(dataset, values.get("data_dir")), dataset
    train = dataset[0] if isinstance(dataset, (tuple, list)) and dataset else dataset
    if isinstance(train, DataLoader):
        loader = take_apart(train, "dataset: train", trains=True)
        if loader.batch_size is None and values.get("batch_size") is None:
            raise UsageError("dataset: train is a DataLoader without a batch size (batch_sampler): give batch_size=")
        if values.get("batch_size") is None:
            values["batch_size"] = loader.batch_size
        if values.get("drop_last") is None and loader.drop_last:
            values["drop_last"] = True
    return to_data(dataset, "dataset", collate, whole=whole), name


def with_validation(data: Data, validation: object, values: MutableMapping[str, Any], collate: Collate | None) -> Data:
    """`data` with a validation set. A fraction goes into `values`, the options: it is set apart later."""
    if validation is None:
        return data
    if isinstance(validation, (int, float)):
        values["validation"] = validation
        return data
    lines: list[str] = []
    split = to_split(validation, "validation", collate, whole=data.step is not None, lines=lines)
    return replace(data, validation=split, lines=(*data.lines, *lines))
