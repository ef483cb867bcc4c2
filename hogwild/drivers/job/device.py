"""The device of a run. It is checked, and never silently replaced by another one."""

from __future__ import annotations

import os

import torch

from hogwild.config import Config
from hogwild.errors import UsageError
from hogwild.shared.device_memory import check_allocator


def check_device(config: Config) -> None:
    """UsageError if the run needs a GPU, or a number of GPUs, that this torch or this machine does not have."""
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
    """The device of the master and of the workers; the first one if there are several (see place). UsageError if it
    does not exist.
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
