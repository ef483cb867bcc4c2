"""a9a: the UCI Adult census, binarised by the LIBSVM project; for sparse logistic regression.

About 14 of 123 features are active in a row (11 %): concurrent updates touch common weights often, unlike in the very
sparse problems of the HOGWILD! paper.
"""

from __future__ import annotations

from pathlib import Path

import torch

from hogwild.tasks.catalog import Source
from hogwild.tasks.content import read
from hogwild.tasks.data import Data
from hogwild.tasks.readers.libsvm import parse_libsvm
from hogwild.tasks.splits import SparseSplit

FEATURES = 123


def load(source: Source, folder: Path) -> Data:
    """32,561 training and 16,281 test rows: lists of active features 1..123, padded with 0."""
    splits = []
    for file in source.files:
        content, path = read(folder, file)
        features, classes = parse_libsvm(content, FEATURES, path)
        splits.append(SparseSplit(torch.from_numpy(features), torch.from_numpy(classes)))
    train, test = splits
    return Data(source.name, train, test, input_shape=(FEATURES,), classes=2, kind="sparse", labels=("<=50K", ">50K"))
