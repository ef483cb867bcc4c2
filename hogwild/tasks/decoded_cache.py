"""A cache of decoded images, one npz per source: decoding 60,000 JPEGs takes seconds, reading their pixels far less."""

from __future__ import annotations

import os
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hogwild.tasks.locate import cache_root

Bytes = npt.NDArray[np.uint8]
Parts = dict[str, tuple[Bytes, Bytes]]


def cached(name: str, key: str, decode: Callable[[], Parts]) -> Parts:
    """The result of decode(), cached under `key` (a digest of everything that the result depends on).

    A damaged cache file is replaced. If the cache cannot be written, the next run decodes again.
    """
    path = cache_root() / name / f"decoded-{key}.npz"
    try:
        with path.open("rb") as stored, np.load(stored, allow_pickle=False) as arrays:
            return {part: (arrays[f"{part}_images"], arrays[f"{part}_labels"]) for part in ("train", "test")}
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        parts = decode()
    try:
        _write(path, parts)
    except OSError as error:
        print(f"{path}: not cached ({error.strerror})", file=sys.stderr)
    return parts


def _write(path: Path, parts: Parts) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as out:
            images = {f"{part}_images": images for part, (images, _) in parts.items()}
            labels = {f"{part}_labels": labels for part, (_, labels) in parts.items()}
            np.savez(out, allow_pickle=False, **images, **labels)
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)
