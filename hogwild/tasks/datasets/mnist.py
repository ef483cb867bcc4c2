"""MNIST and Fashion-MNIST: four gzipped IDX files each."""

from __future__ import annotations

from pathlib import Path

import torch

from hogwild.errors import DataError
from hogwild.tasks.catalog import Source
from hogwild.tasks.content import read
from hogwild.tasks.data import Data
from hogwild.tasks.readers.idx import parse_idx
from hogwild.tasks.splits import ImageSplit

_MEAN_STD = {"mnist": (0.1307, 0.3081), "fashion_mnist": (0.2860, 0.3530)}
_LABELS = {
    "mnist": tuple("0123456789"),
    "fashion_mnist": (
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
}


def load(source: Source, folder: Path) -> Data:
    """60,000 training and 10,000 test images [1, 28, 28]."""
    mean, std = _MEAN_STD[source.name]
    splits = []
    for image_file, label_file in (source.files[:2], source.files[2:]):
        content, path = read(folder, image_file)
        images = parse_idx(content, 3, path)
        content, path = read(folder, label_file)
        labels = parse_idx(content, 1, path)
        highest = labels.max(initial=0)
        if len(labels) != len(images) or highest > 9:
            raise DataError(f"{path}: {len(labels):,} labels in 0..{highest} for {len(images):,} images of 10 classes")
        targets = torch.from_numpy(labels.astype("int64"))
        splits.append(ImageSplit(torch.from_numpy(images.copy())[:, None], targets, mean=[mean], std=[std]))
    train, test = splits
    shape = tuple(train.images.shape[1:])
    return Data(source.name, train, test, input_shape=shape, classes=10, kind="image", labels=_LABELS[source.name])
