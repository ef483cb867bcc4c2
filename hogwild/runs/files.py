"""Writing the files of a run: as JSON, whole or not at all, with an error in one line when the disk is full."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hogwild.errors import HogwildError

ESCAPED = "backslashreplace"  # of bytes that are no UTF-8, in names and messages: still valid JSON


def to_json(value: object, *, indent: int | None = None) -> str:
    """`value` as JSON; NaN and infinity become null, arrays and tensors of one element numbers, paths text."""
    return json.dumps(_plain(value), indent=indent, allow_nan=False, ensure_ascii=False)


def write_atomically(path: Path, text: str) -> None:
    """Replace `path` by `text`: a reader sees the old or the new file, after a power cut too."""
    temporary = path.with_name(f".{path.name}.tmp")
    with writing(path):
        with temporary.open("w", encoding="utf-8", errors=ESCAPED) as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)


def append_line(path: Path, line: str) -> None:
    """Add a line to a file, at once. HogwildError if it cannot be written."""
    with writing(path), path.open("a", encoding="utf-8", errors=ESCAPED) as file:
        file.write(line + "\n")


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """An OSError inside becomes a HogwildError, in one line, about the file `path`."""
    try:
        yield
    except OSError as error:
        raise HogwildError(f"cannot write {path}: {error.strerror}") from error


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; {} if there is no such file, or something else in it."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def _plain(value: Any) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None
    return value if isinstance(value, (str, int, float, bool)) or value is None else str(value)
