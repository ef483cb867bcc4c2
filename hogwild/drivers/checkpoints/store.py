"""Checkpoints: a directory each, whole or absent, verified before it is read, and never code.

    ckpt/step-00001000/state.pt        the state, written by torch.save
                       manifest.json   size and sha256 of each file, format version, step, samples, meta
    ckpt/last -> step-00001000         ckpt/best -> ...

A checkpoint is written beside its final place, flushed to disk and renamed; a crash at any moment leaves the older ones
as they were. One of the same step changes places with the older one, which is removed only then; where the file system
cannot exchange two directories, the new one gets the step's other name, step-00000000000000001000. The caller passes a
consistent copy, to which no process writes any more; a race cannot be seen here.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any

from hogwild.drivers.checkpoints import contents
from hogwild.drivers.checkpoints.manifest import FORMAT, MANIFEST, STATE, read_manifest
from hogwild.errors import CheckpointError, UsageError
from hogwild.files.exchange import exchange
from hogwild.files.reading import reading
from hogwild.files.writing import beside, write_atomically
from hogwild.runs.files import to_json
from hogwild.text import quoted

LINKS = ("last", "best")
_NAME = re.compile(r"step-\d{1,20}")


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
        state: nested dicts and lists of tensors, numbers and texts. Views are copied, since torch.save would write the
            whole buffer behind them; other tensors are written as they are, without a copy. Not modified.
        meta: plain facts for the manifest; "samples" is the data position, the rest is compared by `differences`.
        keep: at least 1. What `last` and `best` point to always stays.

    Raises: CheckpointError if it cannot be written (disk full); earlier checkpoints are then untouched.
    """
    name = f"step-{step:08d}"
    temporary = beside(folder / name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if folder.is_symlink():
            raise OSError(0, "it is a symbolic link, and is not followed")
        for leftover in folder.glob(".*.tmp"):
            _remove(leftover)
        _restore_links(folder)
        temporary.mkdir()
        contents.save_state(state, temporary / STATE)
        files = {STATE: {"bytes": (temporary / STATE).stat().st_size, "sha256": contents.sha256(temporary / STATE)}}
        manifest = {"format": FORMAT, "step": step, "samples": meta.get("samples", 0), "consistent": True}
        write_atomically(temporary / MANIFEST, to_json({**manifest, "files": files, "meta": meta}, indent=2) + "\n")
        _sync_directory(temporary)
        name = _publish(temporary, folder, step)
        for link in LINKS if best else LINKS[:1]:
            _point(folder / link, name)
        _sync_directory(folder)
    except (OSError, RuntimeError) as error:
        _remove(temporary)
        raise CheckpointError(_why_not_written(error, folder, name)) from error
    _remove(temporary)  # an older one of the same step, if they changed places
    _prune(folder, keep, name)
    return folder / name


def load(folder: Path, name: str = "last") -> Checkpoint:
    """The checkpoint `name` (last, best or step-...), verified against its manifest. Reading it executes no code.

    Raises: CheckpointError if it is missing, damaged or holds more than plain data, naming the newest good one.
    """
    path = _located(folder, name)
    if path is None:
        known = ", ".join(names(folder)) or "none"
        raise CheckpointError(f"there is no checkpoint {folder / name}. Known: {known}.{_newest_good(folder, name)}")
    if (damage := verify(path)) is not None:
        raise CheckpointError(f"{damage}.{_newest_good(folder, path.name)}")
    manifest = read_manifest(path)
    with reading(path / STATE, SAFE, error=CheckpointError, remedy=_newest_good(folder, path.name).strip()):
        state = contents.load_state(path / STATE)
    return Checkpoint(path.name, manifest.step, manifest.samples, state, manifest.meta)


def meta(folder: Path, name: str) -> dict[str, Any]:
    """The facts in the manifest of the checkpoint `name`; {} if there is none or it cannot be read."""
    with contextlib.suppress(CheckpointError):
        if (path := _located(folder, name)) is not None:
            return read_manifest(path).meta
    return {}


def names(folder: Path) -> list[str]:
    """All finished checkpoints, oldest first."""
    found = [path.name for path in folder.glob("step-*") if path.is_dir() and not path.is_symlink()]
    return sorted((name for name in found if _NAME.fullmatch(name)), key=_number)


def named(folder: Path, checkpoint: str | int) -> str:
    """The name of the checkpoint of that step, or `checkpoint` if it is a name. UsageError if it is neither."""
    if isinstance(checkpoint, str):
        return checkpoint
    if not isinstance(checkpoint, Integral) or isinstance(checkpoint, bool) or checkpoint < 0:
        raise UsageError(f"a checkpoint is 'last', 'best', a number of updates or a name; it is {checkpoint!r:.40}")
    return next((name for name in names(folder) if _number(name) == checkpoint), f"step-{checkpoint:08d}")


SAFE = "a state of tensors, numbers and texts; it is not loaded, because that could run code"


def verify(path: Path) -> str | None:
    """What is wrong with the checkpoint directory `path`, or None."""
    try:
        manifest = read_manifest(path)
    except CheckpointError as error:
        return str(error)
    if not (path / STATE).is_file() or (path / STATE).is_symlink():
        return f"{path / STATE}: missing, or no regular file"
    found_bytes = (path / STATE).stat().st_size
    if found_bytes != manifest.state_bytes or contents.sha256(path / STATE) != manifest.state_sha256:
        sizes = f"file is {found_bytes:,} bytes, expected {manifest.state_bytes:,}"
        guess = "; disk full?" if found_bytes < manifest.state_bytes else ""
        return f"{path / STATE}: checksum differs from manifest ({sizes}{guess})"
    return None


def _located(folder: Path, name: str) -> Path | None:
    """The directory of the checkpoint `name`, or None. `last` and `best` are links to a checkpoint beside them; no
    other link is followed, and none leads out of `folder`: CheckpointError.
    """
    path = folder / name
    if "/" in name or name.startswith("."):
        return None
    if name == "last" and not path.is_symlink() and (known := names(folder)):
        return folder / known[-1]  # the very first save was cut off before the link
    if path.is_symlink():
        target = os.readlink(path)
        if name not in LINKS or not _NAME.fullmatch(target):
            raise CheckpointError(f"{path} is a link to {quoted(target)}, no checkpoint beside it: it is not followed")
        path = folder / target
    return path if path.is_dir() and not path.is_symlink() else None


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


def _publish(temporary: Path, folder: Path, step: int) -> str:
    """Gives the whole checkpoint `temporary` a name of its step, and returns that. At no moment is there none of this
    step if there was one: what had the name lies at `temporary` then.
    """
    taken = [name for name in _names_of(step) if (folder / name).exists()]
    if taken and exchange(temporary, folder / taken[0]):
        return taken[0]
    name = next((name for name in _names_of(step) if name not in taken), "")
    if not name:  # an earlier save was cut off between the two: one of them is not the last
        name = next(name for name in taken if name not in _pinned(folder)[:1])
        _discard(folder / name)
    temporary.rename(folder / name)
    return name


def _names_of(step: int) -> tuple[str, str]:
    return f"step-{step:08d}", f"step-{step:020d}"


def _number(name: str) -> int:
    return int(name.removeprefix("step-"))


def _point(link: Path, name: str) -> None:
    temporary = beside(link)
    temporary.symlink_to(name)
    temporary.replace(link)


def _restore_links(folder: Path) -> None:
    """Where a tool that copied the run has followed `last` and `best` (scp -r), directories become links again."""
    for path in (folder / link for link in LINKS):
        if path.is_symlink() or not path.is_dir():
            continue
        names, written = _names_of(read_manifest(path).step), (path / MANIFEST).read_bytes()
        known = [name for name in names if (folder / name).is_dir()]
        same = next((name for name in known if (folder / name / MANIFEST).read_bytes() == written), None)
        if same is None:
            same = next((name for name in names if name not in known), names[0])
            shutil.copytree(path, copy := beside(path), symlinks=True)
            copy.rename(folder / same)
        link = beside(path)
        link.symlink_to(same)
        if exchange(link, path):
            _remove(link)  # the directory
        else:
            _discard(path)
            link.rename(path)


def _pinned(folder: Path) -> list[str]:
    """What the links point to, `last` first."""
    return [os.readlink(folder / link) for link in LINKS if (folder / link).is_symlink()]


def _prune(folder: Path, keep: int, newest: str) -> None:
    """Removes all but the newest, and the other one of the same step as `newest`."""
    known, pinned = names(folder), _pinned(folder)
    twins = [name for name in known if name != newest and _number(name) == _number(newest)]
    kept = [name for name in known if name not in twins][-keep:]
    for name in known:
        if name not in kept and name not in pinned:
            _discard(folder / name)


def _discard(path: Path) -> None:
    """Removes a checkpoint. Cut off in between, what is left of it no longer has the name of one."""
    with contextlib.suppress(OSError):
        path = path.rename(beside(path))
    _remove(path)


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
