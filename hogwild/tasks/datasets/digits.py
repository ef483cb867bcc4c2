"""Digits: the default task, shipped with the package (assets/digits-LICENSE.txt has source, licence and split)."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch

from hogwild.tasks.catalog import Source
from hogwild.tasks.content import read
from hogwild.tasks.data import Data
from hogwild.tasks.splits import ImageSplit


def load(source: Source, folder: Path) -> Data:
    """1,437 training and 360 test images [1, 8, 8] with values 0..16."""
    content, _ = read(folder, source.files[0])
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        splits = [
            ImageSplit(
                torch.from_numpy(arrays[f"{part}_images"])[:, None],
                torch.from_numpy(arrays[f"{part}_labels"]).long(),
                mean=[0.3054],
                std=[0.3761],
                full_scale=16.0,
            )
            for part in ("train", "test")
        ]
    train, test = splits
    return Data(source.name, train, test, input_shape=(1, 8, 8), classes=10, kind="image", labels=tuple("0123456789"))
