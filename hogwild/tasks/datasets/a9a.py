"""a9a: the UCI Adult census, binarised by the LIBSVM project; for sparse logistic regression.

About 14 of 123 features are active in a row (11 %): concurrent updates touch common weights often, unlike in the very
sparse problems of the HOGWILD! paper.
"""

from __future__ import annotations

from pathlib import Path

import torch

from hogwild.errors import DataError
from hogwild.tasks.catalog import Source
from hogwild.tasks.content import read
from hogwild.tasks.data import Data
from hogwild.tasks.readers.libsvm import parse_libsvm
from hogwild.tasks.splits import SparseSplit

FEATURES = 123
# (rows, positive rows, active features in total). Altered copies are common, and no checksum is published.
COUNTS = {"a9a": (32_561, 7_841, 451_592), "a9a.t": (16_281, 3_846, 225_731)}


def load(source: Source, folder: Path) -> Data:
    """32,561 training and 16,281 test rows: lists of active features 1..123, padded with 0."""
    splits = []
    for file in source.files:
        content, path = read(folder, file)
        features, classes = parse_libsvm(content, FEATURES, path)
        found = (len(classes), int(classes.sum()), int((features > 0).sum()))
        if found != COUNTS[file.name]:
            raise DataError(
                f"{path}: {found[0]:,} rows, {found[1]:,} positive, {found[2]:,} nonzeros; "
                "expected {:,}, {:,}, {:,}".format(*COUNTS[file.name])
                + f". The copy is altered or incomplete: get it from {file.urls[0]}"
            )
        splits.append(SparseSplit(torch.from_numpy(features), torch.from_numpy(classes)))
    train, test = splits
    return Data(source.name, train, test, input_shape=(FEATURES,), classes=2, kind="sparse", labels=("<=50K", ">50K"))
