"""Skip-gram with negative sampling: score of a neighbour for a word = u_word . v_neighbour (Mikolov et al. 2013).

The two tables have sparse gradients: a batch costs its own rows, however many words there are (docs/tables.md).
"""

from __future__ import annotations

from torch import Tensor, nn

from hogwild.tasks.data import Data

WIDTH = 64


class SkipGram(nn.Module):
    """[batch, 1 + c] integers, a word and c candidates for its neighbour -> scores [batch, c]."""

    def __init__(self, words: int, width: int = WIDTH) -> None:
        super().__init__()
        self.word = nn.Embedding(words, width, sparse=True)
        self.neighbour = nn.Embedding(words, width, sparse=True)
        nn.init.uniform_(self.word.weight, -0.5 / width, 0.5 / width)
        nn.init.zeros_(self.neighbour.weight)

    def forward(self, words: Tensor) -> Tensor:
        word, candidates = self.word(words[:, 0]), self.neighbour(words[:, 1:])
        scores: Tensor = (candidates * word.unsqueeze(1)).sum(2)
        return scores


def build(data: Data) -> nn.Module:
    """words x 128 parameters."""
    return SkipGram(data.classes)
