"""The whole trainer, as a user starts it: 1, 2 and 4 workers on one device, with and without MPS."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.gpu.scene import Scene

WORKERS = (1, 2, 4)
RUN_S = 60.0
KEPT = ("samples_per_s", "wall_s", "updates", "test_accuracy", "train_loss", "delay", "faults", "parameters", "mps")
MPS = "nvidia-cuda-mps-control"
VARIANTS: dict[str, tuple[str, ...]] = {
    "--amp bf16": ("--amp", "bf16"),
    "--amp bf16 --channels-last": ("--amp", "bf16", "--channels-last"),
    "--cuda-graph": ("--cuda-graph",),
    "--compile": ("--compile",),
    "--access atomic": ("--access", "atomic"),
}


def run(scene: Scene) -> None:
    """Without MPS: workers 1, 2, 4, then variants of two workers."""
    for workers in WORKERS[:2] if scene.is_dry else WORKERS:
        train(scene, "trainer", f"{workers} workers", ["--workers", str(workers)])
    for name, flags in VARIANTS.items():
        is_too_slow, needs_gpu = scene.is_dry and name == "--compile", name == "--cuda-graph"
        if not is_too_slow and (scene.on_gpu or not needs_gpu):
            train(scene, "trainer", f"2 workers {name}", ["--workers", "2", *flags])


def run_mps(scene: Scene) -> None:
    """The same runs under our own MPS daemon, if it can be started. It is stopped afterwards."""
    if scene.is_dry or shutil.which(MPS) is None:
        scene.record("trainer, MPS", "left out", reason=f"{'a dry run' if scene.is_dry else f'no {MPS} here'}")
        return
    with tempfile.TemporaryDirectory(prefix="mps") as folder:
        environment = {"CUDA_MPS_PIPE_DIRECTORY": f"{folder}/pipe", "CUDA_MPS_LOG_DIRECTORY": f"{folder}/log"}
        for path in environment.values():
            Path(path).mkdir()
        daemon = {**os.environ, **environment}
        subprocess.run([MPS, "-d"], env=daemon, check=True, timeout=20)
        try:
            for workers in WORKERS:
                train(scene, "trainer, MPS", f"{workers} workers", ["--workers", str(workers)], environment)
        finally:
            subprocess.run([MPS], input="quit\n", text=True, env=daemon, timeout=20, check=False)


def data() -> list[str]:
    """Fashion-MNIST if its files are here, else the digits in the package."""
    from hogwild.errors import HogwildError
    from hogwild.tasks import load

    try:
        load("fashion_mnist", download=False)
    except HogwildError:
        return ["--data", "digits", "--epochs", "60"]
    return ["--data", "fashion_mnist", "--model", "lenet", "--epochs", "4"]


def train(scene: Scene, group: str, name: str, flags: Sequence[str], environment: dict[str, str] | None = None) -> None:
    """One run of the command line. Its summary, or the reason of its failure, becomes a row."""
    with tempfile.TemporaryDirectory(prefix="train") as folder:
        what = ["--data", "digits", "--updates", "40"] if scene.is_dry else data()
        options = [*what, "--device", scene.device.type, "--eval-every", "0", "--ckpt-every", "0", *flags]
        command = [sys.executable, "-m", "hogwild.train", *options, "--out", folder, "--json", "--quiet"]
        facts: dict[str, Any] = {"options": " ".join(options)}
        try:
            done = subprocess.run(
                command, env={**os.environ, **(environment or {})}, capture_output=True, text=True, timeout=RUN_S
            )
            if done.returncode == 0:
                summary = json.loads(done.stdout)
                facts |= {key: summary[key] for key in KEPT if key in summary}
            else:
                facts["failed"] = f"exit code {done.returncode}: {done.stderr.strip()[-600:]}"
        except subprocess.TimeoutExpired:
            facts["failed"] = f"not done after {RUN_S:.0f} s"
        scene.record(group, name, **facts)
