"""Saves a checkpoint in a child that ends at the k-th call into the system, for every k; run by test_checkpoint_kills.

    python killed_saves.py FOLDER SCENARIO     prints one JSON object

SCENARIO says what was saved before (first: nothing, next: an older step, same: the same step, twice: both); with
`+plain` the file system cannot exchange two directories.
"""

from __future__ import annotations

import io
import itertools
import json
import os
import shutil
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from hogwild.drivers.checkpoints import store

SYSTEM = ("posix", "_io", "io", "nt")
BEFORE = {"first": (), "next": (6,), "same": (7,), "twice": (6, 7)}


def save(folder: Path, step: int, fill: float) -> Path:
    return store.save(folder, step, {"x": torch.full((5,), fill)}, {}, keep=2)


def cut_off(folder: Path, k: int, fill: float) -> bool:
    """Saves step 7 in a child; whether it ended at its k-th call into the system, and not after the save."""
    child = os.fork()
    if child == 0:
        calls = itertools.count(1)

        def profile(_frame: FrameType, event: str, function: Any) -> None:
            is_of_system = event == "c_call" and (
                function.__module__ in SYSTEM or isinstance(getattr(function, "__self__", None), io.IOBase)
            )
            if is_of_system and next(calls) == k:
                os._exit(9)

        sys.setprofile(profile)
        save(folder, 7, fill)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def value(folder: Path) -> float:
    return float(store.load(folder).state["x"][0])


def main(base: Path, scenario: str) -> dict[str, object]:
    name, _, plain = scenario.partition("+")
    os.fsync = lambda descriptor: None  # power cuts are not tried here, and it takes time
    if plain:
        store.exchange = lambda one, other: False
    seen: set[float] = set()
    for k in itertools.count(1):
        folder = base / f"{k}"
        for step in BEFORE[name]:
            save(folder, step, float(step))
        ended = cut_off(folder, k, 100.0)
        if BEFORE[name] or store.names(folder):
            seen.add(value(folder))
        cut_off(folder, k, 101.0)  # once more, on what the first one left behind
        if BEFORE[name] or store.names(folder):
            seen.add(value(folder))
        save(folder, 8, 102.0)
        assert value(folder) == 102.0
        left = sorted(path.name for path in folder.iterdir())
        numbers = sorted(store._number(name) for name in left if name != "last")
        assert numbers in ([8], [6, 8], [7, 8]), left
        shutil.rmtree(folder)
        if not ended:
            return {"positions": k, "seen": sorted(seen)}
    raise AssertionError


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), sys.argv[2])))
