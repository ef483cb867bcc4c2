"""Reads a YAML file of options within limits on its size, its depth and its size after alias expansion."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from hogwild.errors import UsageError
from hogwild.files.reading import read_text, reading

FILE_BYTES = 100_000
UNFOLDED = 1_000_000  # characters and nodes, after alias expansion
DEPTH = 20


def read_yaml(path: Path) -> dict[str, object]:
    """The flat values in a YAML file. UsageError if the file does not exist or is not a mapping."""
    with reading(path, "valid YAML", error=UsageError):
        text = read_text(path, FILE_BYTES, error=UsageError)
        _check_size(path, yaml.parse(text, Loader=yaml.SafeLoader))
        values = yaml.safe_load(text)
    if values is None:
        return {}
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise UsageError(f"{path} must hold one mapping, 'option: value' per line")
    return values


def _check_size(path: Path, events: Iterable[Any]) -> None:
    """UsageError, before any value is built, if the document is nested too deeply or too large after alias expansion.

    An alias counts with the size of its anchor: ten lines of nine aliases each are 9^10 nodes.
    """
    sizes: dict[str, int] = {}
    open_nodes: list[tuple[str | None, int]] = []  # (anchor, size before it)
    size = 0
    for event in events:
        if isinstance(event, yaml.AliasEvent):
            size += sizes.get(event.anchor or "", 1)
        elif isinstance(event, yaml.ScalarEvent):
            size += 1 + len(event.value)
            if event.anchor is not None:
                sizes[event.anchor] = 1 + len(event.value)
        elif isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append((event.anchor, size))
            size += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_nodes.pop()
            if anchor is not None:
                sizes[anchor] = size - before
        if len(open_nodes) > DEPTH:
            raise UsageError(f"{path} is nested more than {DEPTH} levels deep: options are flat, one a line")
        if size > UNFOLDED:
            raise UsageError(f"{path} unfolds to over {UNFOLDED:,} characters: write values out, without aliases")
