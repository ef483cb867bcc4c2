"""Lists of ratings as GroupLens writes them: `user item rating timestamp`, one a line, between tabs or `::`."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hogwild.errors import DataError

FIELDS = 4


class Ratings(NamedTuple):
    """`pairs` [n, 2] int32: user and item, numbered from 0 in the order of their ids; `values` [n] float32."""

    pairs: npt.NDArray[np.int32]
    values: npt.NDArray[np.float32]
    users: int
    items: int


def parse_ratings(content: bytes, between: bytes, path: Path) -> Ratings:
    """The ratings of a file. Ids are any positive integers; those without a rating get no number.

    Errors: DataError with the line number (another number of fields, an id that is no positive integer, a rating that
    is not between 0 and 5), or if there are none.
    """
    rows: list[tuple[int, int]] = []
    values: list[float] = []
    for number, line in enumerate(content.splitlines(), 1):
        fields = line.split(between)
        if len(fields) != FIELDS:
            raise DataError(f"{path}:{number}: {len(fields)} fields, {FIELDS} are needed: user, item, rating, time")
        user, item, rating = fields[:3]
        for what, field in (("user", user), ("item", item)):
            if not field.isdigit() or not 0 < int(field[:10]) < 1 << 31:
                raise DataError(f"{path}:{number}: {what} {_show(field)} is no positive 32-bit integer")
        value = _number(rating)
        if value is None or not 0 <= value <= 5:
            raise DataError(f"{path}:{number}: rating {_show(rating)} is no number from 0 to 5")
        rows.append((int(user[:10]), int(item[:10])))
        values.append(value)
    if not rows:
        raise DataError(f"{path}: is empty")
    ids = np.array(rows, np.int64)
    columns = [np.unique(column, return_inverse=True) for column in ids.T]
    pairs = np.stack([numbers.astype(np.int32) for _, numbers in columns], axis=1)
    return Ratings(pairs, np.array(values, np.float32), *(len(known) for known, _ in columns))


def _number(field: bytes) -> float | None:
    try:
        return float(field[:8])
    except ValueError:
        return None


def _show(field: bytes) -> str:
    return repr(field[:24].decode("ascii", "replace"))
