"""Any map-style torch data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor
from torch.utils.data import Dataset, default_collate

from hogwild.errors import DataError
from hogwild.shared.seeds import seed_others
from hogwild.tasks.data import Split

Collate = Callable[[list[Any]], Any]
"""Samples -> batch."""


class DatasetSplit(Split):
    """Samples dataset[i] -> (input, target), joined by `collate`. A data set that reads many samples at once, with
    dataset.__getitems__(numbers) -> list of samples as torch's DataLoader asks for them, is asked once per batch. It
    may return something else than a list, a whole batch for instance, if `collate` takes that.

    The data set does its own augmentation. For training, the generators of Python and NumPy are seeded from torch's
    generator, so that the batch determines the random numbers of all three.

    `whole`: samples need not be pairs. A batch is then (what collate makes of them, None), for a step_fn.
    """

    seeds_others = True

    def __init__(self, dataset: Dataset[Any], collate: Collate | None = None, *, whole: bool = False) -> None:
        self.dataset = dataset
        self.collate = collate
        self.whole = whole

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]  # Dataset does not declare __len__; from_pair requires it

    def batch(self, index: Tensor, *, train: bool) -> tuple[Any, Any]:
        if train:
            seed_others()
        numbers = index.tolist()
        read = getattr(self.dataset, "__getitems__", None)
        samples = [self.dataset[i] for i in numbers] if read is None else read(numbers)
        if isinstance(samples, list) and len(samples) != len(numbers):
            kind = type(self.dataset).__name__
            raise DataError(f"{kind}.__getitems__ returned {len(samples)} samples, {len(numbers)} were asked for")
        return join(samples, self.collate, self.whole, type(self.dataset).__name__)


def join(samples: Sequence[Any], collate: Collate | None, whole: bool, kind: str) -> tuple[Any, Any]:
    """The batch of these samples: (inputs, targets), or (batch, None) if `whole`. `kind`: of data set, for the
    DataError about samples, or a batch of collate_fn, that are no pairs.
    """
    if not whole and collate is None:
        _require_pair(samples[0], f"{kind}[i]")
    batch = default_collate(list(samples)) if collate is None else collate(list(samples))
    if whole:
        return batch, None
    _require_pair(batch, "the batch of collate_fn")
    inputs, targets = batch
    return inputs, targets


def _require_pair(value: Any, what: str) -> None:
    if not (isinstance(value, (tuple, list)) and len(value) == 2):
        length = f" of length {len(value)}" if isinstance(value, (tuple, list)) else ""
        raise DataError(
            f"{what} must be a pair (input, target), it is {type(value).__name__}{length}; hogwild.fit takes other "
            "samples with step_fn=, a function (model, batch) -> loss"
        )
