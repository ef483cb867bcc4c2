"""A data set that is no tensors: pickled once, its arrays and tensors in memory once for all workers."""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset

import hogwild

ROWS = 30_011


def mapping_of(address: int) -> str:
    """The line of /proc/self/maps of that address."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        first, _, last = line.split()[0].partition("-")
        if int(first, 16) <= address < int(last, 16):
            return line
    raise AssertionError(f"{address:x} is not mapped")


class Large(Dataset[Any]):
    """Tells in which memory its elements are, and how often it is pickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.array = np.arange(6 * ROWS, dtype=np.float32).reshape(ROWS, 6) / (6 * ROWS)
        self.tensor = torch.arange(ROWS, dtype=torch.float64)

    def __getstate__(self) -> dict[str, Any]:
        (self.folder / f"pickled-{len(list(self.folder.glob('pickled-*')))}").touch()
        return self.__dict__

    def __len__(self) -> int:
        return 120

    def __getitem__(self, i: int) -> tuple[Any, int]:
        if multiprocessing.parent_process() is not None:
            if not (told := self.folder / f"places-{os.getpid()}").exists():
                told.write_text(json.dumps([mapping_of(self.array.ctypes.data), mapping_of(self.tensor.data_ptr())]))
            assert (float(self.array[i, 1]), float(self.tensor[i])) == (np.float32(6 * i + 1) / np.float32(6 * ROWS), i)
            self.array[i, 0] = self.tensor[i] = -1.0  # seen by nobody else
        return self.array[i], i % 2


def net() -> nn.Module:
    return nn.Linear(6, 2)


def test_the_arrays_of_a_data_set_are_in_memory_once_for_all_workers(tmp_path: Path):
    data = Large(tmp_path)
    result = hogwild.fit(
        net, (data, None), workers=3, epochs=1, batch_size=4, lr=0.1, out=str(tmp_path), on_bad_sample="stop"
    )
    assert result.summary["samples"] == 120
    assert len(list(tmp_path.glob("pickled-*"))) == 1
    places = [json.loads(path.read_text()) for path in tmp_path.glob("places-*")]
    assert places
    assert all("memfd:hogwild" in line and line.split()[1] == "rw-p" for pair in places for line in pair)
    assert data.array[5, 0] >= 0
