"""A data set as the trainer sees it: two splits, a loss, a score."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hogwild.tasks.objectives import count_correct, cross_entropy


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """A small tensor on `device`. Nobody waits: on a GPU it arrives before what is enqueued next."""
    if device.type != "cuda" or tensor.device == device:
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


class Split(ABC):
    """Samples that can be asked for in batches. Picklable; holds its samples in the tensors that `tensors` names."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of samples: what one epoch passes over."""

    @abstractmethod
    def batch(self, index: Tensor, *, train: bool) -> tuple[Any, Any]:
        """(inputs, targets) of the samples `index` [batch] int64, ready for the model and for Data.loss.

        With `train` the inputs are augmented where the data set says so; the randomness comes from torch's default
        generator. Reads the storage only: any number of workers may share it.
        """

    def tensors(self) -> dict[str, Tensor]:
        """The raw storage by name; empty where the samples do not lie in tensors."""
        return {}

    def with_tensors(self, tensors: Mapping[str, Tensor]) -> Split:
        """The same split over the given storage (same names, shapes, dtypes; another place, such as shared memory)."""
        if tensors:
            raise ValueError(f"{type(self).__name__} keeps no tensors, got {sorted(tensors)}")
        return self


@dataclass
class Data:
    """A training and a test split with what belongs to them.

    `loss(output, target)` is a scalar Tensor, the mean over the batch; `score(output, target)` is (sum, count), and the
    metric of a split is the ratio of the two totals. `classes` 0: unknown, only own models can be built.
    """

    name: str
    train: Split
    test: Split
    input_shape: tuple[int, ...]  # of one sample: (channels, height, width), (features,), (length,) for text
    classes: int
    kind: str  # image | vector | sparse | text
    metric: str = "accuracy"
    maximize: bool = True  # whether a larger metric is better
    loss: Callable[[Any, Any], Tensor] = cross_entropy
    score: Callable[[Any, Any], tuple[float, int]] = count_correct
    labels: tuple[str, ...] = ()  # names of the classes; the characters of a text
    note: str = ""  # a caveat that belongs beside every number made with these data
