"""Numbers for random generators, made from a seed and the place where a random choice is due."""

from __future__ import annotations

_MIX = 0x9E3779B97F4A7C15  # odd: multiplying by it permutes the 64-bit seeds
MASK = (1 << 63) - 1


def mixed(seed: int, number: int) -> int:
    """A seed of its own for each `number`, 0 <= result < 2^63."""
    return ((seed + 1) * _MIX + number * 0xD1B54A32D192ED03) & MASK
