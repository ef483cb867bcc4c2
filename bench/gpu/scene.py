"""The device on which a part of the script runs, and the file that takes its rows."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch


@dataclass
class Scene:
    """`device`: a GPU, or the CPU. A dry run has tiny sizes. Every row is written to disk when it is recorded."""

    device: torch.device
    file: Path
    is_dry: bool = False
    rows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def on_gpu(self) -> bool:
        return self.device.type == "cuda"

    def sizes(self, *numels: int) -> list[int]:
        """The sizes to measure; in a dry run a single odd size."""
        return [4099] if self.is_dry else list(numels)

    def record(self, group: str, name: str, **facts: Any) -> None:
        self.rows.append({"group": group, "name": name, **facts})
        whole = self.file.with_suffix(".part")
        whole.write_text(json.dumps(self.rows))
        os.replace(whole, self.file)

    def synchronize(self) -> None:
        if self.on_gpu:
            torch.cuda.synchronize(self.device)
