"""The trained weights in a checkpoint, without the model that they belong to."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from hogwild.drivers.checkpoints.state import State
from hogwild.drivers.checkpoints.store import Checkpoint
from hogwild.errors import CheckpointError, UsageError
from hogwild.files.reading import reading
from hogwild.nn.pooling import pooled


def state_dict(found: Checkpoint, *, ema: bool | str = False) -> dict[str, Tensor]:
    """What model.load_state_dict takes: trained and frozen parameters and buffers, BatchNorm statistics pooled over the
    workers, {name: [shape]} on the CPU.

    ema: the average of the callback EMA, or of a class derived from it, in place of the trained parameters; the name of
    the callback, if there are several averages. UsageError if the checkpoint has none, or several.
    Deviates: hooks by which a model changes its state_dict are not called.
    """
    state = State.from_plain(found.state)
    with reading("the state in the checkpoint", "one of a model", error=CheckpointError):
        buffers = state.module_buffers
        values = {**state.parameters, **state.frozen, **(pooled(buffers[0], buffers) if buffers else {})}
        if ema:
            average = _average(found.name, state, ema)
            values |= {name: average[name].reshape(value.shape) for name, value in state.parameters.items()}
        for name in found.meta.get("unsaved", ()):
            values.pop(name, None)
        return values | {alias: values[name] for alias, name in found.meta.get("tied", {}).items()}


def _average(checkpoint: str, state: State, ema: bool | str) -> Mapping[str, Tensor]:
    """The average that a callback has saved: it has the names of all trained parameters."""
    found = {
        name: average
        for name, saved in state.callbacks.items()
        if isinstance(average := saved.get("average"), Mapping) and average.keys() >= state.parameters.keys()
    }
    if ema is True and len(found) == 1:
        return next(iter(found.values()))
    if ema in found:
        return found[str(ema)]
    if not found:
        raise UsageError(f"checkpoint {checkpoint} has no average: hogwild.EMA was not among the callbacks")
    raise UsageError(f"checkpoint {checkpoint} has an average of {', '.join(found)}: give one of them, ema=NAME")
