"""A text as words with their neighbours, against words drawn at random (skip-gram with negative sampling)."""

from __future__ import annotations

import torch
from torch import Tensor

from hogwild.tasks.splits.negatives import drawn
from hogwild.tasks.splits.storage import StoredSplit, take

POWER = 0.75  # of a word's count, for drawing it (Mikolov et al. 2013, arXiv:1310.4546)


class SkipGramSplit(StoredSplit):
    """words [length] int32, numbers of words in the order of the text; chance [vocabulary] float64, cumulative.

    Sample i is the word at position i with one neighbour, up to `window` positions away on either side, and `negatives`
    words drawn with the probability of count^0.75. The inputs are [batch, 2 + negatives] int32, the targets the
    neighbour's number among the candidates, 0. A neighbour is drawn for each batch; those of a test text, and the words
    drawn for it, are the same in every evaluation.
    """

    stored = ("words", "chance")

    def __init__(self, words: Tensor, chance: Tensor, window: int = 5, negatives: int = 5) -> None:
        self.words = words
        self.chance = chance
        self.window = window
        self.negatives = negatives

    def __len__(self) -> int:
        return len(self.words)

    def batch(self, index: Tensor, *, train: bool) -> tuple[Tensor, Tensor]:
        uniform = drawn(index, 1 + self.negatives, train=train)
        step = (uniform[:, 0] * 2 * self.window).long().clamp_(max=2 * self.window - 1) - self.window
        at = index.cpu() + step + (step >= 0).long()
        beyond = (at < 0) | (at >= len(self))
        at = torch.where(beyond, 2 * index.cpu() - at, at).clamp_(0, len(self) - 1)  # to the other side
        others = torch.searchsorted(self.chance, uniform[:, 1:].to(self.chance).contiguous())
        others = others.clamp_(max=len(self.chance) - 1).to(self.words.dtype)
        inputs = [take(self.words, index).unsqueeze(1), take(self.words, at).unsqueeze(1), others]
        return torch.cat(inputs, 1), torch.zeros(len(index), dtype=torch.int64)


def chances(counts: Tensor) -> Tensor:
    """Cumulative probabilities of drawing each word, [vocabulary] float64, from its count."""
    weights = counts.double() ** POWER
    return (weights / weights.sum()).cumsum(0)
