"""A small causal transformer over characters (Vaswani et al. 2017, arXiv:1706.03762; layer norms before the sublayers).

An LSTM would not do: cuDNN copies an LSTM's parameters into memory of its own, which the workers do not share.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hogwild.tasks.data import Data

WIDTH = 64
HEADS = 4
LAYERS = 3


class Layer(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)); [batch, length, WIDTH] -> the same."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(WIDTH)
        self.query_key_value = nn.Linear(WIDTH, 3 * WIDTH)
        self.project = nn.Linear(WIDTH, WIDTH)
        self.norm2 = nn.LayerNorm(WIDTH)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        batch, length, _ = x.shape
        packed = self.query_key_value(self.norm1(x)).view(batch, length, 3, HEADS, WIDTH // HEADS)
        query, key, value = packed.permute(2, 0, 3, 1, 4)  # each [batch, HEADS, length, WIDTH / HEADS]
        attended = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.project(attended.transpose(1, 2).reshape(batch, length, WIDTH))
        return x + self.mlp(self.norm2(x))  # type: ignore[no-any-return]  # nn.Module.__call__ returns Any


class CharLM(nn.Module):
    """symbols [batch, length] int64 -> scores of the next symbol [batch, length, classes]; length <= block."""

    def __init__(self, classes: int, block: int) -> None:
        super().__init__()
        self.symbol = nn.Embedding(classes, WIDTH)
        self.position = nn.Parameter(torch.empty(block, WIDTH))
        self.layers = nn.Sequential(*(Layer() for _ in range(LAYERS)))
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, classes)
        for weight in (self.symbol.weight, self.position):
            nn.init.normal_(weight, std=0.1)

    def forward(self, symbols: Tensor) -> Tensor:
        x = self.symbol(symbols) + self.position[: symbols.shape[1]]
        scores: Tensor = self.head(self.norm(self.layers(x)))
        return scores


def build(data: Data) -> nn.Module:
    """162,561 parameters for 65 characters and windows of 64."""
    return CharLM(data.classes, data.input_shape[0])
