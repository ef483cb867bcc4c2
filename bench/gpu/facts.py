"""A description of the device and of the host. Every result needs it, because a figure alone means nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Any

import torch

from bench import machine
from bench.gpu.scene import Scene
from hogwild import system

QUERY = (
    "name", "driver_version", "clocks.sm", "clocks.mem", "clocks.max.sm", "clocks.max.mem", "power.limit",
    "temperature.gpu", "ecc.mode.current", "compute_mode", "mig.mode.current", "utilization.gpu",
)  # fmt: skip


def run(scene: Scene) -> None:
    scene.record("facts", "host", **machine.describe())
    scene.record("facts", "device", **device(scene))


def device(scene: Scene) -> dict[str, Any]:
    facts: dict[str, Any] = {"torch": torch.__version__, "torch_cuda": torch.version.cuda, "mps": system.mps_running()}
    if not scene.on_gpu:
        return {**facts, "gpu": "none"}
    properties = torch.cuda.get_device_properties(scene.device)
    return {
        **facts,
        "gpu": properties.name,
        "bytes": properties.total_memory,
        "multiprocessors": properties.multi_processor_count,
        "capability": f"{properties.major}.{properties.minor}",
        "cache_bytes": getattr(properties, "L2_cache_size", None),
        "visible": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "devices": torch.cuda.device_count(),
        "nvidia_smi": nvidia_smi(),
    }


def nvidia_smi() -> dict[str, str] | None:
    """The values that nvidia-smi reports for the first device. It changes no setting."""
    if shutil.which("nvidia-smi") is None:
        return None
    command = ["nvidia-smi", f"--query-gpu={','.join(QUERY)}", "--format=csv,noheader", "--id=0"]
    try:
        text = subprocess.run(command, capture_output=True, text=True, timeout=15, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return dict(zip(QUERY, (value.strip() for value in text.split(",")), strict=False))
