"""What a finished run gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True)
class Result:
    """The result of a run: `summary` has the keys of summary.json, `model` the trained parameters, `path` the run
    directory.
    """

    summary: dict[str, Any]
    model: nn.Module
    path: str
