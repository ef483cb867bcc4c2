"""Which device a run computes on, whether it is there (never silently another one), and moving batches there."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from hogwild.config import Config
from hogwild.errors import UsageError
from hogwild.shared.device_memory import check_allocator


def check_device(config: Config) -> None:
    """UsageError if the run is to use a GPU, or so many, and this torch or this machine has not."""
    master, gpus = config.master, config.gpus
    if config.device == "cuda":
        asked = "--device cuda"
    elif master not in ("auto", "host"):
        asked = f"--master {master}"
    elif gpus != 1:
        asked = f"--gpus {gpus}"
    else:
        return
    if torch.version.cuda is None:
        reason = f"this torch ({torch.__version__}) was built without CUDA"
    elif not torch.cuda.is_available():
        reason = f"no GPU visible (CUDA_VISIBLE_DEVICES={os.environ.get('CUDA_VISIBLE_DEVICES', 'unset')!r})"
    elif master.startswith("cuda") and int(master.removeprefix("cuda:")) >= torch.cuda.device_count():
        reason = f"there are only {torch.cuda.device_count()} GPUs"
        asked = f"--master {master}"
    elif gpus > torch.cuda.device_count():
        asked, reason = f"--gpus {gpus}", f"there are only {torch.cuda.device_count()} GPUs"
    else:
        return
    raise UsageError(f"{asked}: {reason}. Use --device cpu, or install a CUDA build of torch.")


def resolve(config: Config) -> torch.device:
    """The device of the master and of the workers; of the first one, where there are several (see place). UsageError
    for one that does not exist.
    """
    check_device(config)
    device = config.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu":
        if config.cuda_graph:
            raise UsageError("--cuda-graph needs a GPU, and --device auto found none: leave it out")
        return torch.device("cpu")
    if config.clock is not None and config.master in ("host", "sharded"):
        raise UsageError(f"--master {config.master} is for worker processes, and --clock simulates them: leave it out")
    if config.access == "striped":
        raise UsageError("--access striped is for masters on the CPU; on a GPU use racing, atomic or locked")
    if config.dtype == "float64":
        raise UsageError("--dtype float64 is for masters on the CPU; on a GPU use float32, or --device cpu")
    check_allocator()
    return torch.device(config.master if config.master.startswith("cuda") else "cuda:0")


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

    def move(tensor: Tensor) -> Tensor:
        return tensor.to(device, dtype if tensor.dtype is torch.float32 else tensor.dtype, non_blocking=True)

    if device.type == "cpu" and dtype is torch.float32 and not isinstance(batch, Tensor):
        return batch
    return map_tensors(move, batch)


def map_tensors(function: Callable[[Tensor], Tensor], nest: Any) -> Any:
    """`nest` with `function` of every tensor in its tuples, lists and dicts; else unchanged."""
    if isinstance(nest, Tensor):
        return function(nest)
    if isinstance(nest, dict):
        return {key: map_tensors(function, value) for key, value in nest.items()}
    if isinstance(nest, tuple) and hasattr(nest, "_fields"):
        return type(nest)(*(map_tensors(function, value) for value in nest))
    if isinstance(nest, (tuple, list)):
        return type(nest)(map_tensors(function, value) for value in nest)
    return nest


class Reading:
    """A number that a device computes: on its way to the host from here on, and there when it is asked for.

    Asking waits for what was enqueued before, not for what came after.
    """

    def __init__(self, value: Tensor) -> None:
        self._value: Tensor | float
        self._arrived = None
        if not value.is_cuda:
            self._value = float(value)
        else:
            self._value = torch.empty_like(value, device="cpu", pin_memory=True).copy_(value, non_blocking=True)
            self._arrived = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
            self._arrived.record()

    def get(self) -> float:
        if self._arrived is not None:
            self._arrived.synchronize()
        return float(self._value)


def finish(device: torch.device) -> None:
    """Waits until the device has done what this process gave it; at once on the CPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
