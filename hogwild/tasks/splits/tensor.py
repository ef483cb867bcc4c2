"""Dense samples and their targets, used as they are."""

from __future__ import annotations

import torch
from torch import Tensor

from hogwild.tasks.splits.storage import StoredSplit, take


class TensorSplit(StoredSplit):
    """inputs [n, ...] and targets [n, ...], tensors or NumPy arrays; a batch is a selection of rows."""

    stored = ("inputs", "targets")

    def __init__(self, inputs: Tensor, targets: Tensor) -> None:
        if len(inputs) != len(targets):
            raise ValueError(f"{len(inputs)} inputs but {len(targets)} targets")
        self.inputs = torch.as_tensor(inputs)
        self.targets = torch.as_tensor(targets)

    def __len__(self) -> int:
        return len(self.targets)

    def batch(self, index: Tensor, *, train: bool) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        return take(self.inputs, index), take(self.targets, index)
