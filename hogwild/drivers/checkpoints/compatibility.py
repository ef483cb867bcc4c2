"""Decides whether a run may resume from a checkpoint, by comparing two checkpoint manifests. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hogwild.errors import CheckpointError
from hogwild.tasks.own import FIT, LAUNCH

if TYPE_CHECKING:
    from torch import nn

    from hogwild.config import Config

TABLES = ("table_rule", "table_decay", "table_catch_up")
BLOCKING = ("algorithm", "dtype", "data", "train_samples", *TABLES)
POSITION = ("samples", "updates", "step", "epoch")


def facts(config: Config, module: nn.Module) -> dict[str, Any]:
    """Facts in a manifest with which a run that resumes from it must agree."""
    return {
        "model": {name: list(parameter.shape) for name, parameter in module.named_parameters()},
        "algorithm": config.algorithm,
        "dtype": config.dtype,
        "data": config.data,
        "workers": config.workers,
        "lr": config.lr,
        **_differing(module),
        **_of_tables(config, module),
    }


def _differing(module: nn.Module) -> dict[str, Any]:
    """Where the state_dict of a module differs from its parameters and buffers: `tied` names for a tensor that has
    another name too, and buffers that are `unsaved`.
    """
    tensors = [*module.named_parameters(), *module.named_buffers()]
    names = {id(tensor): name for name, tensor in tensors}
    saved = {key: id(tensor) for key, tensor in module.state_dict(keep_vars=True).items()}
    tied = {key: names[tensor] for key, tensor in saved.items() if names.get(tensor, key) != key}
    unsaved = [name for name, _ in tensors if name not in saved]
    return {**({"tied": tied} if tied else {}), **({"unsaved": unsaved} if unsaved else {})}


def _of_tables(config: Config, module: nn.Module) -> dict[str, Any]:
    """The options of tables on which their state depends."""
    from hogwild.shared.embeddings import tables_of

    return {name: getattr(config, name) for name in TABLES} if tables_of(module) else {}


def differences(now: Mapping[str, Any], saved: Mapping[str, Any]) -> list[str]:
    """The differences that make resuming impossible, one line each; [] if there are none.

    `now` and `saved` are `meta` of this run and of the checkpoint. "model" maps parameter names to shapes; "algorithm",
    "dtype" and "data" are texts. A key that only one side has is not compared.
    """
    lines = []
    here, there = now.get("model", {}), saved.get("model", {})
    for name in {**there, **here} if here and there else ():
        if name not in here:
            lines.append(f"{name} {_shape(there[name])} is only in the checkpoint")
        elif name not in there:
            lines.append(f"{name} {_shape(here[name])} is not in the checkpoint")
        elif list(here[name]) != list(there[name]):
            lines.append(f"{name} is {_shape(there[name])} in the checkpoint, {_shape(here[name])} here")
    has_objects = now.get("data") in (FIT, LAUNCH) or saved.get("data") in (FIT, LAUNCH)  # that may have got a name
    return lines + [
        _changed(key, now, saved)
        for key in BLOCKING
        if _differs(key, now, saved) and not (key == "data" and has_objects)
    ]


def changes(now: Mapping[str, Any], saved: Mapping[str, Any]) -> list[str]:
    """The differences that are allowed (workers, lr, ...), one line each, to be reported."""
    keys = [key for key in saved if key not in (*BLOCKING, *POSITION, "model", "tied", "unsaved")]
    lines = [_changed(key, now, saved) for key in keys if _differs(key, now, saved)]
    if _differs("workers", now, saved):
        lines.append("private buffers go to the ranks that remain; new ranks start with fresh ones")
    return lines


def require_compatible(now: Mapping[str, Any], saved: Mapping[str, Any]) -> list[str]:
    """Returns `changes`, to be shown. Raises a CheckpointError that lists all `differences` if there are any."""
    if lines := differences(now, saved):
        raise CheckpointError(f"cannot resume: {'; '.join(lines)}. Start a new run, or resume with the old settings.")
    return changes(now, saved)


def require_same_run(now: Mapping[str, Any], saved: Mapping[str, Any], what: str) -> None:
    """Raises a CheckpointError that lists all `differences` between the configuration of a run and its checkpoint
    `what`.
    """
    if lines := differences(now, saved):
        raise CheckpointError(f"{what} does not belong to config.yaml beside it: {'; '.join(lines)}")


def _differs(key: str, now: Mapping[str, Any], saved: Mapping[str, Any]) -> bool:
    return key in now and key in saved and now[key] != saved[key]


def _changed(key: str, now: Mapping[str, Any], saved: Mapping[str, Any]) -> str:
    return f"{key} {saved[key]} -> {now[key]}"


def _shape(shape: Any) -> str:
    return "[" + ",".join(map(str, shape)) + "]"
