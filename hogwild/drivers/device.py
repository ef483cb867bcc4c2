"""Which device a run computes on, whether it is there (never silently another one), and moving batches there."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import torch

from hogwild.config import Config
from hogwild.errors import UsageError


def check_device(device: str, master: str = "auto") -> None:
    """UsageError if `device` is cuda, or `master` lies on a GPU, and this torch or this machine has none."""
    asked = "--device cuda" if device == "cuda" else f"--master {master}" if master.startswith("cuda") else None
    if asked is None:
        return
    if torch.version.cuda is None:
        reason = f"this torch ({torch.__version__}) was built without CUDA"
    elif not torch.cuda.is_available():
        reason = f"no GPU visible (CUDA_VISIBLE_DEVICES={os.environ.get('CUDA_VISIBLE_DEVICES', 'unset')!r})"
    elif master.startswith("cuda") and int(master.removeprefix("cuda:")) >= torch.cuda.device_count():
        reason = f"there are only {torch.cuda.device_count()} GPUs"
        asked = f"--master {master}"
    else:
        return
    raise UsageError(f"{asked}: {reason}. Use --device cpu, or install a CUDA build of torch.")


def resolve(config: Config) -> torch.device:
    """The device of the master and of the workers. UsageError for a placement that does not exist."""
    check_device(config.device, config.master)
    device = config.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu":
        return torch.device("cpu")
    if config.master == "host":
        raise UsageError("--master host with --device cuda: the master must lie on a GPU; use --master cuda:0")
    if config.access in ("striped", "locked"):
        raise UsageError(f"--access {config.access} is for masters on the CPU; on a GPU use racing or atomic")
    return torch.device("cuda:0" if config.master == "auto" else config.master)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """torch with one thread while the context lasts: beside busy workers more threads make it far slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def to_device(batch: Any, device: torch.device, dtype: torch.dtype = torch.float32) -> Any:
    """A batch (tensors in tuples, lists and dicts) on `device`, its float32 tensors as `dtype`; else unchanged."""
    if isinstance(batch, torch.Tensor):
        wanted = dtype if batch.dtype is torch.float32 else batch.dtype
        return batch.to(device, wanted, non_blocking=True)
    if device.type == "cpu" and dtype is torch.float32:
        return batch
    if isinstance(batch, dict):
        return {key: to_device(value, device, dtype) for key, value in batch.items()}
    if isinstance(batch, (tuple, list)):
        return type(batch)(to_device(value, device, dtype) for value in batch)
    return batch
