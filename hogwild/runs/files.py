"""The JSON of a run's files."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hogwild.errors import HogwildError
from hogwild.files import reading


def to_json(value: object, *, indent: int | None = None) -> str:
    """`value` as JSON; NaN and infinity become null, arrays and tensors of one element numbers, paths text."""
    return json.dumps(_plain(value), indent=indent, allow_nan=False, ensure_ascii=False)


def read_json(path: Path) -> dict[str, Any]:
    """The object in a small JSON file; {} if there is no such file, or something else in it."""
    with contextlib.suppress(HogwildError):
        values = reading.read_json(path)
        return values if isinstance(values, dict) else {}
    return {}


def _plain(value: Any) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):  # a number, or lists of them
        value = value.tolist()
        while isinstance(value, list) and len(value) == 1:
            value = value[0]
        if isinstance(value, list):
            return _plain(value)
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None
    return value if isinstance(value, (str, int, float, bool)) or value is None else str(value)
