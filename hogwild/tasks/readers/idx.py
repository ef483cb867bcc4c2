"""The IDX format of the MNIST family (http://yann.lecun.com/exdb/mnist): big-endian header, then unsigned bytes."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hogwild.errors import DataError


def parse_idx(content: bytes, dimensions: int, path: Path) -> npt.NDArray[np.uint8]:
    """The array of `dimensions` dimensions in `content`, which is magic 0x0000_08_dd, dd sizes as uint32, the bytes."""
    header = 4 + 4 * dimensions
    expected = 0x0800 + dimensions
    magic = int.from_bytes(content[:4], "big")
    if len(content) < header or magic != expected:
        raise DataError(f"{path}: starts with 0x{magic:08x}, an idx{dimensions} file of bytes with 0x{expected:08x}")
    shape = struct.unpack(f">{dimensions}I", content[4:header])
    if len(content) - header != math.prod(shape):
        sizes = "x".join(map(str, shape))
        raise DataError(
            f"{path}: {len(content) - header:,} bytes after a header that says {sizes} = {math.prod(shape):,}"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)
