"""The whole trainer, as a user starts it: 1, 2 and 4 workers on one device."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

from bench.gpu import tied
from bench.gpu.scene import Scene

WORKERS = (1, 2, 4)
RUN_S = 60.0
KEPT = ("samples_per_s", "wall_s", "updates", "test_accuracy", "train_loss", "delay", "faults", "parameters", "mps")
VARIANTS: dict[str, tuple[str, ...]] = {
    "--amp bf16": ("--amp", "bf16"),
    "--amp bf16 --channels-last": ("--amp", "bf16", "--channels-last"),
    "--cuda-graph": ("--cuda-graph",),
    "--compile": ("--compile",),
    "--access atomic": ("--access", "atomic"),
}


def run(scene: Scene) -> None:
    """Workers 1, 2, 4, then variants of two workers."""
    for workers in WORKERS[:2] if scene.is_dry else WORKERS:
        train(scene, "trainer", f"{workers} workers", ["--workers", str(workers)])
    for name, flags in VARIANTS.items():
        is_too_slow, needs_gpu = scene.is_dry and name == "--compile", name == "--cuda-graph"
        if not is_too_slow and (scene.on_gpu or not needs_gpu):
            train(scene, "trainer", f"2 workers {name}", ["--workers", "2", *flags])


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
                command, env={**os.environ, **(environment or {})}, capture_output=True, text=True, timeout=RUN_S,
                preexec_fn=tied.to_parent,
            )  # fmt: skip
            if done.returncode == 0:
                summary = json.loads(done.stdout)
                facts |= {key: summary[key] for key in KEPT if key in summary}
            else:
                facts["failed"] = f"exit code {done.returncode}: {done.stderr.strip()[-600:]}"
        except subprocess.TimeoutExpired:
            facts["failed"] = f"not done after {RUN_S:.0f} s"
        scene.record(group, name, **facts)
