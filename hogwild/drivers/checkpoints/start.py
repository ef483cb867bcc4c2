"""The weights that a run begins with: those of another run, of a file, or a state_dict of the caller's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hogwild.drivers.checkpoints import contents, store
from hogwild.drivers.checkpoints.state import State
from hogwild.drivers.job.job import Job
from hogwild.errors import CheckpointError, UsageError
from hogwild.files.reading import reading
from hogwild.nn.pooling import pooled_buffers
from hogwild.runs.directory import is_run

NESTED = ("state_dict", "model_state_dict", "model")  # keys under which programs save a state_dict beside other things
PREFIXES = ("module.", "_orig_mod.")  # of the names in wrapped models: DataParallel, torch.compile
REMEDY = "Give weights for this model, or a model_fn that loads them itself"
TOLD = 3


def begin_with(module: nn.Module, job: Job) -> None:
    """Loads the weights that the job begins with, if any, into `module`. A checkpoint that is resumed has its own.

    UsageError or CheckpointError, in one line, if they cannot be read, or do not fit the module.
    """
    source = job.start if job.start is not None else job.config.init_from
    if source is None:
        return
    if isinstance(source, Mapping):
        load(module, source, "init_from")
    else:
        load(module, read(Path(source), module), f"init_from {source}")


def read(path: Path, module: nn.Module) -> Mapping[str, Any]:
    """The weights in `path`: a run, a checkpoint in its ckpt folder, or a file with a state_dict. No code is run."""
    if is_run(path):
        return _of_checkpoint(path / "ckpt", "last", module)
    if path.is_dir():
        return _of_checkpoint(path.parent, path.name, module)
    if not path.exists():
        raise UsageError(f"init_from {path}: there is no such file or run")
    with reading(path, "a file of weights that can be read safely", error=CheckpointError):
        found = _safetensors(path) if path.suffix == ".safetensors" else contents.load_state(path)
    for name in NESTED:
        if isinstance(inner := found.get(name), Mapping):
            return inner
    return found


def load(module: nn.Module, weights: Mapping[str, Any], what: str) -> None:
    """Copies `weights`, by name, into the parameters and buffers of `module`; all of them, or none with UsageError."""
    own = module.state_dict()
    weights = _without_prefix(weights, own)
    tensors = {name: value for name, value in weights.items() if isinstance(value, Tensor)}
    given = {own[name].data_ptr() for name in tensors.keys() & own.keys()}
    missing = [name for name, value in own.items() if name not in tensors and value.data_ptr() not in given]
    faults = [f"{name} is missing there" for name in missing]
    faults += [f"{name} is not in the model" for name in weights if name not in own]
    faults += [
        f"{name} is {list(value.shape)} there and {list(own[name].shape)} in the model"
        for name, value in tensors.items()
        if name in own and value.shape != own[name].shape
    ]
    if faults:
        more = f", and {len(faults) - TOLD} more" if len(faults) > TOLD else ""
        raise UsageError(f"{what} does not fit the model: {'; '.join(faults[:TOLD])}{more}. {REMEDY}")
    with torch.no_grad():
        for name, value in tensors.items():
            own[name].copy_(value)


def _of_checkpoint(folder: Path, name: str, module: nn.Module) -> Mapping[str, Tensor]:
    state = State.from_plain(store.load(folder, name).state)
    with reading(folder / name, "a checkpoint of this model", error=CheckpointError, remedy=REMEDY):
        pooled = pooled_buffers(module, state.module_buffers)
    kept = module.state_dict().keys()
    return {
        **state.parameters, **state.frozen, **{name: value for name, value in pooled.items() if name in kept}
    }  # fmt: skip


def _safetensors(path: Path) -> Mapping[str, Tensor]:
    try:
        from safetensors.torch import load_file
    except ImportError:
        raise UsageError("safetensors is not installed: pip install safetensors, or give a .pt file") from None
    return dict(load_file(path))


def _without_prefix(weights: Mapping[str, Any], own: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same, with names as in the model that was wrapped."""
    for prefix in PREFIXES:
        if weights and all(name.startswith(prefix) and name not in own for name in weights):
            weights = {name.removeprefix(prefix): value for name, value in weights.items()}
    return weights
