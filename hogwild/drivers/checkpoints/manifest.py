"""The manifest of a checkpoint describes its files. All of it is checked, because its source may be untrusted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hogwild.errors import CheckpointError
from hogwild.files.reading import read_json, reading
from hogwild.text import quoted

FORMAT = 1
STATE = "state.pt"
MANIFEST = "manifest.json"
COUNT_LIMIT = 1 << 62


@dataclass(frozen=True)
class Manifest:
    """`meta` is plain; its "model", if there, maps parameter names to shapes."""

    step: int
    samples: int
    state_bytes: int
    state_sha256: str
    meta: dict[str, Any]


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the checkpoint directory `folder`. CheckpointError if it is missing or not of the right form."""
    path = folder / MANIFEST
    with reading(path, "a manifest, so this checkpoint cannot be verified", error=CheckpointError):
        values = read_json(path, error=CheckpointError)
        if (found := values["format"]) != FORMAT:
            raise CheckpointError(f"{path}: format {quoted(found)}, this version of hogwild reads format {FORMAT}")
        if values["consistent"] is not True:
            raise ValueError("it does not say that the state is consistent")
        state, meta = values["files"][STATE], values["meta"]
        for name, shape in meta.get("model", {}).items():
            if not isinstance(shape, list) or not all(type(size) is int for size in shape):
                raise TypeError(f"the shape of {quoted(name)} is {quoted(shape)}")
        return Manifest(
            step=_count(values["step"]),
            samples=_count(values["samples"]),
            state_bytes=_count(state["bytes"]),
            state_sha256=str(state["sha256"]),
            meta=dict(meta),
        )


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value <= COUNT_LIMIT:
        raise TypeError(f"{quoted(value)} is no count")
    return value
