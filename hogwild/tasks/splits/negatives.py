"""The random numbers behind drawn candidates."""

from __future__ import annotations

import torch
from torch import Tensor

_ODD = -7046029254386353131  # 2^64 / golden ratio, as int64: multiples of it spread evenly (Knuth 3, section 6.4)
_BITS = 24  # of a float32


def drawn(index: Tensor, count: int, *, train: bool) -> Tensor:
    """Numbers in [0, 1), [len(index), count] float32: from torch's default generator for training, else a function of
    the sample's number alone, so that all evaluations draw the same.
    """
    if train:
        return torch.rand(len(index), count)
    mixed = (index.cpu().unsqueeze(1) * 1_000_003 + torch.arange(1, count + 1)) * _ODD
    mixed = (mixed ^ ((mixed >> 29) & ((1 << 35) - 1))) * _ODD
    return ((mixed >> (64 - _BITS)) & ((1 << _BITS) - 1)).float() / (1 << _BITS)
