"""A cache of decoded images, one npz per source: decoding 60,000 JPEGs takes seconds, reading their pixels far less."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hogwild.errors import DataError
from hogwild.files.reading import reading
from hogwild.files.writing import replacing
from hogwild.tasks.locate import cache_root
from hogwild.tasks.readers.npz import parse_npz
from hogwild.text import say

Bytes = npt.NDArray[np.uint8]
Parts = dict[str, tuple[Bytes, Bytes]]

PARTS = ("train", "test")
SHAPES = {"images": 4, "labels": 1}  # dimensions: [n, channels, height, width] and [n]


def cached(name: str, key: str, decode: Callable[[], Parts]) -> Parts:
    """The result of decode(), cached under `key` (a digest of everything that the result depends on).

    A damaged cache file is replaced. If the cache cannot be written, the next run decodes again.
    """
    root = cache_root()
    if root is None:
        return decode()
    path = root / name / f"decoded-{key}.npz"
    try:
        return _read(path)
    except DataError:
        parts = decode()
    try:
        _write(path, parts)
    except OSError as error:
        say(f"{path}: not cached ({error.strerror})", to_stderr=True)
    return parts


def _read(path: Path) -> Parts:
    with reading(path, "a cache of images"), path.open("rb") as stored:
        arrays = parse_npz(stored, {f"{part}_{what}": d for part in PARTS for what, d in SHAPES.items()}, path)
        parts = {part: (arrays[f"{part}_images"], arrays[f"{part}_labels"]) for part in PARTS}
        if any(len(images) != len(labels) for images, labels in parts.values()):
            raise ValueError("images and labels are not as many")
        return parts


def _write(path: Path, parts: Parts) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {f"{part}_{what}": array for part, both in parts.items() for what, array in zip(SHAPES, both, strict=True)}
    with replacing(path) as out:
        np.savez(out, allow_pickle=False, **arrays)
