"""Windows of a text, for next-character prediction."""

from __future__ import annotations

import torch
from torch import Tensor

from hogwild.tasks.data import send
from hogwild.tasks.splits.storage import StoredSplit


class TextSplit(StoredSplit):
    """symbols [length] uint8. Sample i is the window that starts at i * block; its targets are the next characters.

    For training, each window is moved by a random 0..block-1 characters (inside the text). An epoch then still reads
    nearly every character once, but with a varying left context.
    """

    stored = ("symbols",)

    def __init__(self, symbols: Tensor, block: int) -> None:
        if len(symbols) <= block:
            raise ValueError(f"a text of {len(symbols)} characters has no window of {block} + 1")
        self.symbols = symbols
        self.block = block

    def __len__(self) -> int:
        return (len(self.symbols) - 1) // self.block

    def batch(self, index: Tensor, *, train: bool) -> tuple[Tensor, Tensor]:
        start = index * self.block
        if train:
            start = (start + torch.randint(self.block, start.shape)).clamp_(max=len(self.symbols) - self.block - 1)
        positions = start[:, None] + torch.arange(self.block + 1)
        windows = self.symbols[send(positions, self.symbols.device)].long()
        return windows[:, :-1], windows[:, 1:]
