"""`hogwild.load`: the weights in a run's checkpoint."""

from __future__ import annotations

import os

from torch import Tensor

from hogwild.drivers.checkpoints import store
from hogwild.drivers.checkpoints.weights import state_dict
from hogwild.library.result import Result
from hogwild.runs.directory import RunDirectory


def load(
    run: str | os.PathLike[str] | Result, checkpoint: str | int = "last", *, ema: bool | str = False
) -> dict[str, Tensor]:
    """The weights of a run, for `model.load_state_dict`. Reading them runs no code, whoever made the run.

    Args:   run: a run directory, or what fit or launch returned.
            checkpoint: "last", "best", the number of updates of a checkpoint that was kept, or its name.
            ema: the average that hogwild.EMA keeps, in place of the trained parameters; its callback's
            name, if there are several.
    Returns: {name: [shape]} on the CPU, with BatchNorm statistics pooled over the workers.
    Raises: UsageError if `run` is no run directory, or has no average; CheckpointError if there is no such checkpoint,
            or it is damaged.
    """
    folder = RunDirectory.open(run.path if isinstance(run, Result) else os.fspath(run)).ckpt
    return state_dict(store.load(folder, store.named(folder, checkpoint)), ema=ema)
