"""Is the asked-for device there? Never fall back silently from CUDA to the CPU."""

from __future__ import annotations

import os

from hogwild.errors import UsageError


def check_device(device: str, master: str = "auto") -> None:
    """UsageError if `device` is cuda, or `master` lies on a GPU, and this torch or this machine has none."""
    asked = "--device cuda" if device == "cuda" else f"--master {master}" if master.startswith("cuda") else None
    if asked is None:
        return
    import torch

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
