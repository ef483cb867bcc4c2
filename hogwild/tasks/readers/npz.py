"""Arrays in a NumPy archive (.npz), checked before anything is allocated; pickles are never read."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from hogwild.errors import DataError
from hogwild.files.reading import reading

LIMIT_BYTES = 512 << 20
_HEADER_BYTES = 4096
_BLOCK_BYTES = 1 << 20


def parse_npz(stored: BinaryIO, dimensions: Mapping[str, int], path: Path) -> dict[str, npt.NDArray[np.uint8]]:
    """{name: array of bytes} for every name in `dimensions`, which says how many dimensions each has.

    Errors: DataError: not such an archive, another type than uint8, sizes that do not add up, more than LIMIT_BYTES.
    """
    with reading(path, "an .npz archive of bytes"), zipfile.ZipFile(stored) as archive:
        return {name: _array(archive, name, count, path) for name, count in dimensions.items()}


def _array(archive: zipfile.ZipFile, name: str, dimensions: int, path: Path) -> npt.NDArray[np.uint8]:
    entry = archive.getinfo(f"{name}.npy")
    with archive.open(entry) as stream:
        if np.lib.format.read_magic(stream) != (1, 0):
            raise ValueError(f"{name} is of another version of the format than 1.0")
        shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(stream, max_header_size=_HEADER_BYTES)
        size = math.prod(shape)
        if dtype != np.uint8 or is_fortran or len(shape) != dimensions:
            raise ValueError(f"{name} is {dtype} of {len(shape)} dimensions, expected uint8 of {dimensions}")
        if not 0 <= size <= LIMIT_BYTES or entry.file_size != stream.tell() + size:
            raise DataError(f"{path}: {name} says {size:,} bytes, its entry {entry.file_size:,}; limit {LIMIT_BYTES:,}")
        array = np.empty(shape, np.uint8)
        flat, filled = array.reshape(-1), 0
        while block := stream.read(_BLOCK_BYTES):
            flat[filled : filled + len(block)] = np.frombuffer(block, np.uint8)
            filled += len(block)
        if filled != size:
            raise EOFError(f"{name} ends early")
    return array
