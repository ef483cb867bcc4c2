"""A part of another split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from hogwild.tasks.data import Split


class PartSplit(Split):
    """The samples `numbers` [m] int64 of `whole`. The storage stays that of `whole`."""

    def __init__(self, whole: Split, numbers: Tensor) -> None:
        self.whole = whole
        self.numbers = numbers
        self.seeds_others = whole.seeds_others

    def __len__(self) -> int:
        return len(self.numbers)

    def batch(self, index: Tensor, *, train: bool) -> tuple[Any, Any]:
        return self.whole.batch(self.numbers[index.cpu()], train=train)

    def tensors(self) -> dict[str, Tensor]:
        return self.whole.tensors()

    def with_tensors(self, tensors: Mapping[str, Tensor]) -> PartSplit:
        return PartSplit(self.whole.with_tensors(tensors), self.numbers)
