"""The file of a checkpoint: a state written by torch.save, and read without running code."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from hogwild.text import quoted


def save_state(state: Mapping[str, Any], path: Path) -> None:
    with path.open("wb") as file:
        torch.save(_each(state, _whole), file)
        file.flush()
        os.fsync(file.fileno())


def _each(value: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """The same dicts and lists, with every tensor changed."""
    if isinstance(value, torch.Tensor):
        return change(value.detach())
    if isinstance(value, Mapping):
        return {key: _each(item, change) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        items = [_each(item, change) for item in value]
        return tuple(items) if isinstance(value, tuple) else items
    return value


def _copied(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.to("cpu", copy=True).contiguous()


def _whole(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor itself if it is all of its memory, else a copy: torch.save writes the memory behind a view whole."""
    is_whole = tensor.is_cpu and tensor.is_contiguous() and tensor.untyped_storage().nbytes() == tensor.nbytes
    return tensor if is_whole else _copied(tensor)


def load_state(path: Path) -> dict[str, Any]:
    """What torch.save wrote: not packed, and no tensor larger than what the file holds. Tensors are copies.

    The file is mapped, so that a tensor which claims more than its record holds is refused by torch, in every version.
    """
    with zipfile.ZipFile(path) as archive:
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise ValueError("its records are packed, which torch.save never does")
    with path.open("rb") as file:  # torch maps a file by its name, which need not be UTF-8: this name of it is
        state = torch.load(f"/proc/self/fd/{file.fileno()}", map_location="cpu", weights_only=True, mmap=True)
    if not isinstance(state, dict):
        raise TypeError(f"it holds {quoted(state)}")
    if (claimed := _tensor_bytes(state)) > path.stat().st_size:
        raise ValueError(f"its tensors claim {claimed:,} bytes, more than the file has")
    return dict(_each(state, _copied))


def _tensor_bytes(value: Any) -> int:
    if isinstance(value, torch.Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, Mapping):
        return sum(map(_tensor_bytes, value.values()))
    return sum(map(_tensor_bytes, value)) if isinstance(value, (list, tuple)) else 0


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
