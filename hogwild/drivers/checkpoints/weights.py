"""The trained weights in a checkpoint, without the model that they belong to."""

from __future__ import annotations

from torch import Tensor

from hogwild.drivers.checkpoints.state import State
from hogwild.drivers.checkpoints.store import Checkpoint
from hogwild.errors import CheckpointError, UsageError
from hogwild.files.reading import reading
from hogwild.nn.pooling import pooled

AVERAGE = "EMA"  # the name of the callback


def state_dict(found: Checkpoint, *, ema: bool = False) -> dict[str, Tensor]:
    """What model.load_state_dict takes: trained and frozen parameters and buffers, BatchNorm statistics pooled over the
    workers, {name: [shape]} on the CPU.

    ema: the average of the callback EMA in place of the trained parameters. UsageError if the checkpoint has none.
    Deviates: hooks by which a model changes its state_dict are not called.
    """
    state = State.from_plain(found.state)
    with reading("the state in the checkpoint", "one of a model", error=CheckpointError):
        buffers = state.module_buffers
        values = {**state.parameters, **state.frozen, **(pooled(buffers[0], buffers) if buffers else {})}
        if ema:
            if AVERAGE not in state.callbacks:
                raise UsageError(f"checkpoint {found.name} has no average: hogwild.EMA was not among the callbacks")
            average = state.callbacks[AVERAGE]["average"]
            values |= {name: average[name].reshape(value.shape) for name, value in state.parameters.items()}
        for name in found.meta.get("unsaved", ()):
            values.pop(name, None)
        return values | {alias: values[name] for alias, name in found.meta.get("tied", {}).items()}
