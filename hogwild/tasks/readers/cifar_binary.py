"""CIFAR-10, binary version (https://www.cs.toronto.edu/~kriz/cifar.html): 1 label and 3072 pixel bytes a record."""

from __future__ import annotations

import io
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from hogwild.errors import DataError
from hogwild.tasks.content import read_bytes
from hogwild.tasks.readers.archive import members

Bytes = npt.NDArray[np.uint8]

TRAIN = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
TEST = ("test_batch.bin",)
RECORD_BYTES = 1 + 3 * 32 * 32
BATCH_BYTES = 10_000 * RECORD_BYTES


def parse_batch(content: bytes, path: str) -> tuple[Bytes, Bytes]:
    """(images [n, 3, 32, 32], labels [n]) of one file of records."""
    if not content or len(content) % RECORD_BYTES:
        raise DataError(f"{path}: {len(content):,} bytes, not a multiple of {RECORD_BYTES:,} (label, 3x32x32 pixels)")
    records = np.frombuffer(content, np.uint8).reshape(-1, RECORD_BYTES)
    if records[:, 0].max() > 9:
        row = int(records[:, 0].argmax())
        raise DataError(f"{path}: record {row} has label {records[row, 0]}, expected 0..9")
    return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0]


def read_folder(folder: Path) -> dict[str, tuple[Bytes, Bytes]]:
    """{"train": (images, labels), "test": ...} from the .bin files in `folder`."""
    return _join({name: (read_bytes(folder / name, BATCH_BYTES), str(folder / name)) for name in (*TRAIN, *TEST)})


def read_archive(content: bytes, path: Path) -> dict[str, tuple[Bytes, Bytes]]:
    """The same from the bytes of cifar-10-binary.tar.gz. Members are read in memory; no file is written."""
    found: dict[str, tuple[bytes, str]] = {}
    for name, part in members(io.BytesIO(content), path, BATCH_BYTES):
        if (file := PurePosixPath(name).name) in (*TRAIN, *TEST):
            found[file] = (part, f"{path}:{name}")
    missing = [name for name in (*TRAIN, *TEST) if name not in found]
    if missing:
        raise DataError(f"{path}: holds no {', '.join(missing)}")
    return _join(found)


def _join(files: dict[str, tuple[bytes, str]]) -> dict[str, tuple[Bytes, Bytes]]:
    parts: dict[str, tuple[Bytes, Bytes]] = {}
    for part, names in (("train", TRAIN), ("test", TEST)):
        images, labels = zip(*(parse_batch(*files[name]) for name in names), strict=True)
        parts[part] = (np.concatenate(images), np.concatenate(labels))
    return parts
