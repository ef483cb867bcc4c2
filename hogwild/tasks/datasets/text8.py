"""text8: the first 10^8 characters of a cleaned Wikipedia, as words; for skip-gram vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hogwild.errors import DataError
from hogwild.tasks.catalog import Source
from hogwild.tasks.content import read, read_bytes
from hogwild.tasks.data import Data
from hogwild.tasks.ranking import negative_sampling, sum_auc
from hogwild.tasks.readers.zipped import member
from hogwild.tasks.splits import SkipGramSplit
from hogwild.tasks.splits.skipgram import chances

MEMBER = "text8"
LIMIT_BYTES = 100_000_000
LEAST_COUNT = 5  # of a word; rarer ones are left out of the text, as in word2vec
LONGEST = 64  # characters of a word
TEST_PART = 100  # one word of so many: the end of the text


def load(source: Source, folder: Path) -> Data:
    """All words that come at least LEAST_COUNT times, numbered from the most frequent one."""
    file = source.files[0]
    if (folder / file.name).is_file():
        content, path = read(folder, file)
        content = member(content, MEMBER, path, LIMIT_BYTES)
    else:
        path = folder / MEMBER
        content = read_bytes(path, LIMIT_BYTES)
    numbers, vocabulary = numbered(content, path)
    return of_words(source.name, torch.from_numpy(numbers), vocabulary)


def numbered(content: bytes, path: Path) -> tuple[npt.NDArray[np.int32], tuple[str, ...]]:
    """(number of each word [n], the words). DataError if a word is longer than LONGEST, or too few are left."""
    words = content.split()
    if (longest := max(map(len, words), default=0)) > LONGEST:
        raise DataError(f"{path}: a word of {longest:,} characters, more than {LONGEST}: no text between spaces?")
    counts: dict[bytes, int] = {}
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    known = sorted((word for word, count in counts.items() if count >= LEAST_COUNT), key=lambda w: (-counts[w], w))
    number = {word: k for k, word in enumerate(known)}
    found = np.fromiter((number[word] for word in words if word in number), np.int32)
    if len(found) < 2 * TEST_PART:
        raise DataError(f"{path}: {len(found)} words that come {LEAST_COUNT} times or more are left, too few to train")
    return found, tuple(word.decode("ascii", "replace") for word in known)


def of_words(name: str, numbers: Tensor, vocabulary: tuple[str, ...], *, note: str = "") -> Data:
    """The data of a text as word numbers [n] int32."""
    cut = len(numbers) - len(numbers) // TEST_PART
    chance = chances(torch.bincount(numbers[:cut].long(), minlength=len(vocabulary)))
    train, test = (SkipGramSplit(part.clone(), chance) for part in (numbers[:cut], numbers[cut:]))
    return Data(
        name, train, test, (2 + train.negatives,), classes=len(vocabulary), kind="words", metric="auc",
        loss=negative_sampling, score=sum_auc, labels=vocabulary, note=note,
    )  # fmt: skip
