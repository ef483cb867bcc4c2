"""Splits that store their samples in tensors."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TypeVar

from torch import Tensor

from hogwild.tasks.data import Split, send

Self = TypeVar("Self", bound="StoredSplit")


class StoredSplit(Split):
    """A split over the tensors in the attributes named by `stored`."""

    stored: tuple[str, ...] = ()

    def tensors(self) -> dict[str, Tensor]:
        return {name: getattr(self, name) for name in self.stored}

    def with_tensors(self: Self, tensors: Mapping[str, Tensor]) -> Self:
        mine = self.tensors()
        if tensors.keys() != mine.keys():
            raise ValueError(f"{type(self).__name__} needs the tensors {sorted(mine)}, got {sorted(tensors)}")
        for name, old in mine.items():
            new = tensors[name]
            if (new.shape, new.dtype) != (old.shape, old.dtype):
                raise ValueError(f"{name}: {list(new.shape)} {new.dtype} given, {list(old.shape)} {old.dtype} needed")
        other = copy.copy(self)
        for name in self.stored:
            setattr(other, name, tensors[name])
        return other


def take(storage: Tensor, index: Tensor) -> Tensor:
    """Rows `index` of `storage`, on the device of the storage."""
    return storage.index_select(0, send(index, storage.device))
