"""Samples with few active binary features."""

from __future__ import annotations

from torch import Tensor

from hogwild.tasks.splits.storage import StoredSplit, take


class SparseSplit(StoredSplit):
    """features [n, most] int32: the 1-based numbers of a row's active features, padded with 0; targets [n] int64.

    The inputs are these lists, as nn.EmbeddingBag(features + 1, ..., padding_idx=0) takes them.
    """

    stored = ("features", "targets")

    def __init__(self, features: Tensor, targets: Tensor) -> None:
        if len(features) != len(targets):
            raise ValueError(f"{len(features)} rows but {len(targets)} targets")
        self.features = features
        self.targets = targets

    def __len__(self) -> int:
        return len(self.targets)

    def batch(self, index: Tensor, *, train: bool) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        return take(self.features, index), take(self.targets, index)
