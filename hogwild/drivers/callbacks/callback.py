"""The base class of callbacks, and the run as a callback sees it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn


@dataclass
class Run:
    """A run as its callbacks see it. It changes between two events only.

    `model` is the parent's own copy, in which no update is ever half done: the model after `updates` updates and
    `samples` samples. Writing to it does not change the model that is trained. `epoch` is samples over the samples of
    one pass. `lr` is the learning rate of the next update. `metrics` are those of the last evaluation ({} before the
    first): what on_eval adds to them is recorded with them. `checkpoint` is the directory of the last checkpoint.
    `fault` has the last fault's reason, message and facts. `summary` and `error` (None: there is none) are set at the
    end; what on_end adds to `summary` is in summary.json. `evaluations`: how many are due before the end; infinity if
    that depends on the time.
    """

    path: Path
    model: nn.Module
    updates: int = 0
    samples: int = 0
    epoch: float = 0.0
    lr: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)
    checkpoint: Path | None = None
    fault: Mapping[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    error: BaseException | None = None
    evaluations: float = math.inf
    _stop: Callable[[str], None] = field(default=print, repr=False)
    _evaluate: Callable[[], dict[str, float]] = field(default=dict, repr=False)
    _say: Callable[[str], None] = field(default=print, repr=False)
    _warn: Callable[[str], None] = field(default=print, repr=False)

    def stop(self, reason: str = "a callback") -> None:
        """Ends the run in order, with this copy of the model: updates that workers make meanwhile are dropped. The
        summary says `exit_reason: stopped` and `stopped: <reason>`.
        """
        self._stop(reason)

    def evaluate(self) -> dict[str, float]:
        """The metrics of `model`, as it is now, on the data of the run's evaluations. {} if there are none."""
        return self._evaluate()

    def say(self, line: str) -> None:
        """Prints a line beside the progress bar, and writes it to log.txt."""
        self._say(line)

    def warn(self, line: str) -> None:
        """The same for a warning, which a quiet run prints too."""
        self._warn(line)


class Callback:
    """Called by the parent process of a run, never by a worker, in both drivers.

    Override what you need. While a method runs, the workers go on; they wait only for the copy of the model that comes
    before it. An exception ends the run in order, with a checkpoint: hogwild.errors.OwnCodeError, with the exception as
    its `__cause__`. A callback that has failed is not called again. Callbacks are called in the order in which they are
    given.

    copies_every: updates between two calls of `on_copy`; 0: none. With one worker, and in the simulator, these calls
        and evaluations and checkpoints come after exactly that many updates, so that a run repeats itself; several
        workers may be a few updates further.
    """

    copies_every: int = 0

    def on_start(self, run: Run) -> None:
        """Before the first update: `run.model` is the initial model, or that of the checkpoint that is resumed."""

    def on_copy(self, run: Run) -> None:
        """Every `copies_every` updates."""

    def on_eval(self, run: Run) -> None:
        """After each evaluation, before it is recorded: `run.metrics` may be added to."""

    def on_checkpoint(self, run: Run) -> None:
        """After each checkpoint: it is `run.checkpoint`."""

    def on_fault(self, run: Run) -> None:
        """Soon after a fault that the run reports (a worker died, a gradient was not finite): it is `run.fault`.
        `run.model` is still the last copy.
        """

    def on_end(self, run: Run) -> None:
        """Once, however the run ends: `run.summary` and `run.error` say how."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of this callback: dicts and lists of tensors, numbers and texts."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from that state, before on_start of a run that is resumed."""
