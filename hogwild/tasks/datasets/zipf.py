"""Synthetic ratings and words whose rows follow Zipf's law: nothing real, for tests, examples and benchmarks.

The k-th of n rows is drawn with a probability proportional to 1 / k^s.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from hogwild.tasks.catalog import Source
from hogwild.tasks.data import Data
from hogwild.tasks.datasets.movielens import of_ratings
from hogwild.tasks.datasets.text8 import of_words

RANK = 16
NOISE = 0.3  # standard deviation, the smallest RMSE that there is
NOTE = "synthetic: rows by Zipf's law"
TOPICS, TOPIC_WORDS, OF_TOPIC = 64, 32, 0.5


def load(source: Source, folder: Path) -> Data:  # noqa: ARG001
    """1,000,000 samples over 20,000 rows a table, the same in every process."""
    return zipf_ratings(20_000, 20_000, 1_000_000) if source.name == "zipf_ratings" else zipf_text(20_000, 1_000_000)


def zipf_ratings(users: int, items: int, samples: int, *, exponent: float = 1.0, seed: int = 0) -> Data:
    """Ratings p_u . q_i + noise of variance 1 + NOISE^2, of users and items drawn by Zipf's law."""
    generator = torch.Generator().manual_seed(seed)
    tables = [torch.randn(rows, RANK, generator=generator) / RANK**0.25 for rows in (users, items)]
    pairs = torch.stack([draw(rows, samples, generator, exponent) for rows in (users, items)], 1)
    noise = NOISE * torch.randn(samples, generator=generator)
    values = (tables[0][pairs[:, 0].long()] * tables[1][pairs[:, 1].long()]).sum(1) + noise
    return of_ratings("zipf_ratings", pairs, values, users, items, ranks=False, note=NOTE)


def zipf_text(words: int, length: int, *, exponent: float = 1.0, seed: int = 0) -> Data:
    """A text whose words follow Zipf's law; half of them belong to a topic, which changes every TOPIC_WORDS words."""
    generator = torch.Generator().manual_seed(seed)
    numbers = draw(words, length, generator, exponent)
    topic = torch.randint(TOPICS, (length // TOPIC_WORDS + 1,), generator=generator)
    topic = topic.repeat_interleave(TOPIC_WORDS)[:length].to(numbers.dtype)
    of_topic = (numbers // TOPICS * TOPICS + topic).clamp_(max=words - 1)
    follows = torch.rand(length, generator=generator) < OF_TOPIC
    return of_words("zipf_text", torch.where(follows, of_topic, numbers), tuple(map(str, range(words))), note=NOTE)


def draw(rows: int, count: int, generator: torch.Generator, exponent: float = 1.0) -> Tensor:
    """Row numbers [count] int32, drawn by Zipf's law: row k with a probability proportional to 1 / (k + 1)^exponent."""
    chance = torch.arange(1, rows + 1, dtype=torch.float64).pow_(-exponent).cumsum_(0)
    uniform = torch.rand(count, generator=generator, dtype=torch.float64) * chance[-1]
    return torch.searchsorted(chance, uniform).clamp_(max=rows - 1).int()
