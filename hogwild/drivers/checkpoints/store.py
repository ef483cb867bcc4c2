"""Checkpoints: a directory each, whole or absent, verified before it is read, and never code.

    ckpt/step-00001000/state.pt        the state, written by torch.save
                       manifest.json   size and sha256 of each file, format version, step, samples, meta
    ckpt/last -> step-00001000         ckpt/best -> ...

A checkpoint is written beside its final place, flushed to disk and renamed; a crash at any moment leaves the older ones
as they were. The caller passes a consistent copy, to which no process writes any more; a race cannot be seen here.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hogwild.errors import CheckpointError
from hogwild.runs.files import to_json, write_atomically

FORMAT = 1
STATE = "state.pt"
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint. `state` is what was saved, its tensors on the CPU; `meta` is plain."""

    name: str
    step: int
    samples: int
    state: dict[str, Any]
    meta: dict[str, Any]


def save(
    folder: Path, step: int, state: Mapping[str, Any], meta: Mapping[str, Any], *, keep: int = 3, best: bool = False
) -> Path:
    """Write checkpoint step-<step> into `folder`, point `last` (and `best`) to it, delete all but the newest `keep`.

    Args:
        state: nested dicts and lists of tensors, numbers and texts. Tensors are cloned, since torch.save of a view
            writes the whole buffer behind it. Not modified.
        meta: plain facts for the manifest; "samples" is the data position, the rest is compared by `differences`.
        keep: at least 1. What `last` and `best` point to always stays.

    Raises: CheckpointError if it cannot be written (disk full); earlier checkpoints are then untouched.
    """
    name = f"step-{step:08d}"
    temporary = folder / f".{name}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob(".*.tmp"):
            _remove(leftover)
        temporary.mkdir()
        _save_state(state, temporary / STATE)
        files = {STATE: {"bytes": (temporary / STATE).stat().st_size, "sha256": _sha256(temporary / STATE)}}
        manifest = {"format": FORMAT, "step": step, "samples": meta.get("samples", 0), "consistent": True}
        write_atomically(temporary / MANIFEST, to_json({**manifest, "files": files, "meta": meta}, indent=2) + "\n")
        _sync_directory(temporary)
        _replace(temporary, folder / name)
        for link in ("last", "best") if best else ("last",):
            _point(folder / link, name)
        _sync_directory(folder)
    except (OSError, RuntimeError) as error:
        _remove(temporary)
        raise CheckpointError(_why_not_written(error, folder, name)) from error
    _prune(folder, keep)
    return folder / name


def load(folder: Path, name: str = "last") -> Checkpoint:
    """The checkpoint `name` (last, best or step-...), verified against its manifest. Reading it executes no code.

    Raises: CheckpointError if it is missing, damaged or holds more than plain data, naming the newest good one.
    """
    path = folder / name
    if not path.is_dir():
        known = ", ".join(names(folder)) or "none"
        raise CheckpointError(f"there is no checkpoint {path}. Known: {known}.{_newest_good(folder, name)}")
    path = path.resolve()
    if (damage := verify(path)) is not None:
        raise CheckpointError(f"{damage}.{_newest_good(folder, path.name)}")
    manifest = _read_manifest(path)
    try:
        state = torch.load(path / STATE, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError):
        raise CheckpointError(
            f"{path / STATE} holds more than tensors, numbers and texts; it is not loaded, because that could run code."
            + _newest_good(folder, path.name)
        ) from None
    return Checkpoint(path.name, manifest["step"], manifest["samples"], state, manifest["meta"])


def meta(folder: Path, name: str) -> dict[str, Any]:
    """The facts in the manifest of the checkpoint `name`; {} if there is none or it cannot be read."""
    try:
        return dict(_read_manifest(folder / name)["meta"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def names(folder: Path) -> list[str]:
    """All finished checkpoints, oldest first."""
    return sorted(path.name for path in folder.glob("step-*") if path.is_dir())


def verify(path: Path) -> str | None:
    """What is wrong with the checkpoint directory `path`, or None."""
    try:
        manifest = _read_manifest(path)
        expected = manifest["files"][STATE]
        is_whole = {"step", "samples", "meta"} <= manifest.keys() and manifest["consistent"] is True
        expected_bytes, expected_sha256 = int(expected["bytes"]), str(expected["sha256"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return f"{path / MANIFEST}: missing or unreadable, so nothing vouches for this checkpoint"
    if manifest["format"] != FORMAT or not is_whole:
        return f"{path / MANIFEST}: format {manifest['format']}, this version of hogwild reads format {FORMAT}"
    try:
        found_bytes = (path / STATE).stat().st_size
    except OSError:
        return f"{path / STATE}: missing"
    if found_bytes != expected_bytes or _sha256(path / STATE) != expected_sha256:
        sizes = f"file is {found_bytes:,} bytes, expected {expected_bytes:,}"
        guess = "; disk full?" if found_bytes < expected_bytes else ""
        return f"{path / STATE}: checksum differs from manifest ({sizes}{guess})"
    return None


def _save_state(state: Mapping[str, Any], path: Path) -> None:
    with path.open("wb") as file:
        torch.save(_cloned(state), file)
        file.flush()
        os.fsync(file.fileno())


def _cloned(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True).contiguous()
    if isinstance(value, Mapping):
        return {key: _cloned(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        items = [_cloned(item) for item in value]
        return tuple(items) if isinstance(value, tuple) else items
    return value


def _read_manifest(path: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    return manifest


def _newest_good(folder: Path, bad: str) -> str:
    good = next((name for name in reversed(names(folder)) if name != bad and verify(folder / name) is None), None)
    if good is None:
        return " No other checkpoint of this run is good."
    return f" Newest good one: {good}: --resume {folder.parent} --ckpt {good}."


def _why_not_written(error: Exception, folder: Path, name: str) -> str:
    number = error.errno if isinstance(error, OSError) else None
    reason = " ".join(str(error).split()) if number is None else os.strerror(number)
    free = shutil.disk_usage(folder).free / 1e6 if folder.exists() else 0.0
    return (
        f"cannot write checkpoint {folder / name}: {reason} ({free:,.0f} MB free). Earlier checkpoints are untouched."
    )


def _replace(temporary: Path, final: Path) -> None:
    """Rename; a checkpoint of the same step is moved aside first, since a full directory cannot be renamed over."""
    aside = final.with_name(f".{final.name}.old.tmp")
    if final.exists():
        final.rename(aside)
    temporary.rename(final)
    _remove(aside)


def _point(link: Path, name: str) -> None:
    temporary = link.with_name(f".{link.name}.tmp")
    temporary.symlink_to(name)
    temporary.replace(link)


def _prune(folder: Path, keep: int) -> None:
    pinned = {(folder / link).resolve().name for link in ("last", "best")}
    for name in names(folder)[:-keep]:
        if name not in pinned:
            _remove(folder / name)


def _remove(path: Path) -> None:
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
