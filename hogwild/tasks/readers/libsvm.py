"""The LIBSVM text format for binary features: `label index:1 index:1 ...`, indices from 1 and ascending."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from hogwild.errors import DataError

CELLS_LIMIT = 1 << 25  # 128 MiB; a file of short rows and a long one would fill up to far more than its size
_LABELS = {b"+1": 1, b"1": 1, b"-1": 0}


def parse_libsvm(content: bytes, features: int, path: Path) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """(lists [n, most] of the active features, padded with 0; classes [n]: 1 for +1, 0 for -1).

    Errors: DataError with the line number (a label other than +1 or -1, a value other than 1, an index outside
    1..`features` or not ascending).
    """
    rows: list[list[int]] = []
    classes: list[int] = []
    for number, line in enumerate(content.splitlines(), 1):
        label, *fields = line.split() or [b""]
        if label not in _LABELS:
            raise DataError(f"{path}:{number}: label {_show(label)} is not +1 or -1")
        row: list[int] = []
        last = 0
        for field in fields:
            digits, _, value = field.partition(b":")
            if value != b"1" or not digits.isdigit():
                raise DataError(f"{path}:{number}: {_show(field)} is not index:1 (binary features only)")
            index = int(digits[:10])  # enough to be out of range
            if not last < index <= features:
                raise DataError(f"{path}:{number}: index {index} after {last}, must ascend within 1..{features}")
            row.append(index)
            last = index
        rows.append(row)
        classes.append(_LABELS[label])
    if not rows:
        raise DataError(f"{path}: is empty")
    most = max(map(len, rows))
    if len(rows) * most > CELLS_LIMIT:
        raise DataError(f"{path}: {len(rows):,} rows of up to {most} features fill more than {CELLS_LIMIT:,} cells")
    lists = np.zeros((len(rows), most), np.int32)
    for padded, row in zip(lists, rows, strict=True):
        padded[: len(row)] = row
    return lists, np.array(classes, np.int64)


def _show(field: bytes) -> str:
    return repr(field[:24].decode("ascii", "replace"))
