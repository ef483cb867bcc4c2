"""Matrix factorisation: score of an item for a user = offset + p_user . q_item (Koren, Bell and Volinsky 2009).

The two tables have sparse gradients: a batch costs its own rows, however many there are (docs/tables.md).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hogwild.errors import UsageError
from hogwild.tasks.data import Data
from hogwild.tasks.splits import RatingsSplit

RANK = 16
STD = 0.1


class MatrixFactorization(nn.Module):
    """[batch, 1 + c] integers, a user and c items -> scores [batch, c]."""

    def __init__(self, users: int, items: int, rank: int = RANK) -> None:
        super().__init__()
        self.users = nn.Embedding(users, rank, sparse=True)
        self.items = nn.Embedding(items, rank, sparse=True)
        self.offset = nn.Parameter(torch.zeros(()))
        for table in (self.users, self.items):
            nn.init.normal_(table.weight, std=STD)

    def forward(self, rows: Tensor) -> Tensor:
        user, items = self.users(rows[:, 0]), self.items(rows[:, 1:])
        scores: Tensor = (items * user.unsqueeze(1)).sum(2) + self.offset
        return scores


def build(data: Data) -> nn.Module:
    """(users + items) 16 + 1 parameters."""
    if not isinstance(data.train, RatingsSplit):
        raise UsageError(f"model 'mf' needs the numbers of users and items: {data.name} is no RatingsSplit")
    return MatrixFactorization(data.train.users, data.train.items)
