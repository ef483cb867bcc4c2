"""The device on which a part of the script runs, and the journal that takes its rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from bench.gpu.journal import Journal

DRY_SIZE = 4099


@dataclass
class Scene:
    """`device`: a GPU, or the CPU. A dry run has tiny sizes. Every row is on disk when `record` returns."""

    device: torch.device
    journal: Journal
    part: str
    is_dry: bool = False

    @property
    def on_gpu(self) -> bool:
        return self.device.type == "cuda"

    def sizes(self, group: str, *numels: int) -> Iterator[int]:
        """The sizes that are still to be measured, in this order; in a dry run a single odd size. A size counts as
        measured when the caller asks for the next one.
        """
        finished = self.journal.of(self.part).finished
        for n in [DRY_SIZE] if self.is_dry else numels:
            if (group, n) not in finished:
                yield n
                self.journal.append(part=self.part, finished=[group, n])

    def record(self, group: str, name: str, **facts: Any) -> None:
        self.journal.append(part=self.part, row={"group": group, "name": name, **facts})

    def synchronize(self) -> None:
        if self.on_gpu:
            torch.cuda.synchronize(self.device)
