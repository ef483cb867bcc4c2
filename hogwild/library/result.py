"""What a finished run gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import nn


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, SIGTERM or SIGHUP ended the run in order: its checkpoint is written. `result` has the model as it was
    then, and the summary.
    """

    def __init__(self, message: str, result: Result) -> None:
        super().__init__(message)
        self.result = result


@dataclass(frozen=True)
class Result:
    """The result of a run: `summary` has the keys of summary.json, `model` the trained parameters, `path` the run
    directory, `returns` what the loops of hogwild.launch returned, by rank: None for one that died.
    """

    summary: dict[str, Any]
    model: nn.Module
    path: str
    returns: list[Any] = field(default_factory=list)
