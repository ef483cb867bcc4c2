"""Any map-style torch data set."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from hogwild.errors import DataError
from hogwild.tasks.data import Split


class DatasetSplit(Split):
    """Samples dataset[i] -> (input, target), joined by torch's default_collate.

    The data set does its own augmentation. For training, the generators of Python and NumPy are seeded from torch's
    generator, so that the batch determines the random numbers of all three.
    """

    def __init__(self, dataset: Dataset[Any]) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]  # Dataset does not declare __len__; from_pair requires it

    def batch(self, index: Tensor, *, train: bool) -> tuple[Any, Any]:
        if train:
            random.seed(torch.initial_seed())
            np.random.seed(torch.initial_seed() % (1 << 32))
        samples = [self.dataset[i] for i in index.tolist()]
        if not (isinstance(samples[0], (tuple, list)) and len(samples[0]) == 2):
            kind = type(self.dataset).__name__
            length = f" of length {len(samples[0])}" if isinstance(samples[0], (tuple, list)) else ""
            raise DataError(f"{kind}[i] must be a pair (input, target), it is {type(samples[0]).__name__}{length}")
        inputs, targets = default_collate(samples)
        return inputs, targets
