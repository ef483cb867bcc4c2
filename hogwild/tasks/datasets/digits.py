"""Digits: the default task, shipped with the package (assets/digits-LICENSE.txt has source, licence and split)."""

from __future__ import annotations

import io
from pathlib import Path

import torch

from hogwild.tasks.catalog import Source
from hogwild.tasks.content import read
from hogwild.tasks.data import Data
from hogwild.tasks.readers.npz import parse_npz
from hogwild.tasks.splits import ImageSplit

PARTS = ("train", "test")
SHAPES = {"images": 3, "labels": 1}  # dimensions: [n, 8, 8] and [n]


def load(source: Source, folder: Path) -> Data:
    """1,437 training and 360 test images [1, 8, 8] with values 0..16."""
    content, path = read(folder, source.files[0])
    arrays = parse_npz(io.BytesIO(content), {f"{part}_{what}": d for part in PARTS for what, d in SHAPES.items()}, path)
    splits = [
        ImageSplit(
            torch.from_numpy(arrays[f"{part}_images"])[:, None],
            torch.from_numpy(arrays[f"{part}_labels"]).long(),
            mean=[0.3054],
            std=[0.3761],
            full_scale=16.0,
        )
        for part in PARTS
    ]
    train, test = splits
    return Data(source.name, train, test, input_shape=(1, 8, 8), classes=10, kind="image", labels=tuple("0123456789"))
