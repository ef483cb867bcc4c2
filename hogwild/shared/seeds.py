"""Random numbers that depend only on a seed and on the position in a run at which they are drawn."""

from __future__ import annotations

import torch

_MIX = 0x9E3779B97F4A7C15  # odd: multiplying by it permutes the 64-bit seeds
MASK = (1 << 63) - 1


def mixed(seed: int, number: int) -> int:
    """A different seed for each `number`, 0 <= result < 2^63."""
    return ((seed + 1) * _MIX + number * 0xD1B54A32D192ED03) & MASK


def seed_batch(seed: int, ticket: int) -> None:
    """Sets torch's default generators, CPU and GPU, to the state that belongs to a batch (augmentation, dropout)."""
    torch.default_generator.manual_seed(mixed(seed, ticket))
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed_all(mixed(seed, ticket))


def draw(seed: int, rank: int, step: int, count: int) -> int:
    """A worker's random choice from range(count), a function of seed, rank and step of the worker."""
    number = mixed(mixed(seed, rank), step)
    number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9 & MASK
    return ((number ^ number >> 27) * 0x94D049BB133111EB & MASK) % count
