"""Ratings of items by users, and what was rated against what was not."""

from __future__ import annotations

import torch
from torch import Tensor

from hogwild.tasks.splits.negatives import drawn
from hogwild.tasks.splits.storage import StoredSplit, take

UNSEEN = 99  # items against which a test pair is ranked


class RatingsSplit(StoredSplit):
    """pairs [n, 2] int32 of a user and an item, values [n] float32. The inputs are the pairs, the targets the values.

    `users`, `items`: how many there are, which are the rows of the model's two tables.
    """

    stored = ("pairs", "values")

    def __init__(self, pairs: Tensor, values: Tensor, users: int, items: int) -> None:
        if len(pairs) != len(values):
            raise ValueError(f"{len(pairs)} pairs but {len(values)} values")
        self.pairs = pairs
        self.values = values
        self.users = users
        self.items = items

    def __len__(self) -> int:
        return len(self.values)

    def batch(self, index: Tensor, *, train: bool) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        return take(self.pairs, index), take(self.values, index)


class RankingSplit(RatingsSplit):
    """Pairs of which the item is to score higher than items drawn at random, one for training, UNSEEN for testing.

    The inputs are [batch, 1 + candidates]: a user, the item that belongs to it, the drawn ones; the targets are the
    candidate's number, 0. Items are drawn uniformly from all; a drawn one may have been rated by the user too (He et
    al. 2017, arXiv:1708.05031, leave these out). Those of a test pair are the same in every evaluation.
    """

    def batch(self, index: Tensor, *, train: bool) -> tuple[Tensor, Tensor]:
        pairs = take(self.pairs, index)
        uniform = drawn(index, 1 if train else UNSEEN, train=train)
        others = (uniform * self.items).to(pairs.dtype).clamp_(max=self.items - 1)
        return torch.cat([pairs, others.to(pairs.device)], 1), torch.zeros(len(pairs), dtype=torch.int64)
