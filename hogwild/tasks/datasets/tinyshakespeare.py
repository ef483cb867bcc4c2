"""Tiny Shakespeare: next-character prediction on 1.1 MB of text; the last tenth is the test text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from hogwild.tasks.catalog import Source
from hogwild.tasks.content import read
from hogwild.tasks.data import Data
from hogwild.tasks.objectives import sum_bits
from hogwild.tasks.splits import TextSplit

BLOCK = 64


def load(source: Source, folder: Path) -> Data:
    """Windows of 64 characters, as numbers into the sorted vocabulary of the whole file."""
    content, _ = read(folder, source.files[0])
    characters = np.frombuffer(content, np.uint8)  # the text is ASCII: a byte is a character
    vocabulary, symbols = np.unique(characters, return_inverse=True)
    text = torch.from_numpy(symbols.astype(np.uint8))
    cut = len(text) * 9 // 10
    return Data(
        source.name,
        TextSplit(text[:cut].clone(), BLOCK),
        TextSplit(text[cut:].clone(), BLOCK),
        input_shape=(BLOCK,),
        classes=len(vocabulary),
        kind="text",
        metric="bits_per_char",
        maximize=False,
        score=sum_bits,
        labels=tuple(map(chr, vocabulary)),
    )
