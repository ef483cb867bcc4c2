"""Logistic regression: output_c = w_c . x + b_c with a softmax over the classes.

For two classes this is ordinary logistic regression in w_1 - w_0. Convex, hence started from zero.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from hogwild.tasks.data import Data


class SparseLogistic(nn.Module):
    """Rows of active features [batch, most] (1-based, padded with 0) -> [batch, classes]: the sum of their weights + b.

    The gradient of the weights [features + 1, classes] is dense: every batch touches most of the rows. Row 0 is zero.
    """

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.weight = nn.EmbeddingBag(features + 1, classes, mode="sum", padding_idx=0)
        self.bias = nn.Parameter(torch.zeros(classes))
        nn.init.zeros_(self.weight.weight)

    def forward(self, features: Tensor) -> Tensor:
        weighted: Tensor = self.weight(features)
        return weighted + self.bias


def build(data: Data) -> nn.Module:
    """SparseLogistic for sparse data, Flatten -> Linear for dense data."""
    if data.kind == "sparse":
        return SparseLogistic(data.input_shape[0], data.classes)
    linear = nn.Linear(math.prod(data.input_shape), data.classes)
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    return nn.Sequential(nn.Flatten(), linear)
