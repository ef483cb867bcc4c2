"""Memory of a whole run, all processes together, against a plain shared loop of the same model.

    python -m bench.memory                              100 M parameters, 2 workers: some 2 minutes, 5 GB
    python -m bench.memory --parameters 25 --steps 20

PSS, the proportional set size: of a page that n processes map, each counts an n-th (/proc/*/smaps_rollup), so the sum
over the processes of a run is the memory that the machine must have for it. `training` is the median of the samples
while all workers make steps, `most` the greatest of these; `whole run` the greatest of all, with the start, the copy at
the end, its evaluation and its checkpoint. Contestants run one after the other, each in processes of its own.
"""

from __future__ import annotations

import argparse
import functools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import torch
from torch import Tensor, nn

from bench.hogwild_loop import Setting, samples_per_s
from hogwild.library import fit
from hogwild.tasks import TensorSplit
from hogwild.tasks.data import Data

WORKERS, BATCH, LAYERS, CLASSES = 2, 4, 10, 2
LR, MOMENTUM = 1e-6, 0.9
PLAIN = "plain loop"
RUNS: dict[str, dict[str, Any]] = {
    "asgd, in place": {"algorithm": "asgd", "read": "inplace"},
    "asgd, snapshots": {"algorithm": "asgd"},
    "gap-aware": {"algorithm": "gap-aware"},
}
MARKS = "HOGWILD_BENCH_MARKS"  # a folder in which every worker notes the times of its steps
SAMPLED_S = 0.1
MB = 1e6


class Layers(nn.Module):
    """Square linear layers, with so many million parameters in all."""

    def __init__(self, millions: float) -> None:
        super().__init__()
        width = round((millions * 1e6 / LAYERS) ** 0.5)
        self.layers = nn.Sequential(*(nn.Linear(width, width, bias=False) for _ in range(LAYERS)))
        self.last = nn.Linear(width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            with (Path(os.environ[MARKS]) / str(os.getpid())).open("a") as marks:
                marks.write(f"{time.monotonic()}\n")
        return self.last(self.layers(x))  # type: ignore[no-any-return]


def run(name: str, millions: float, steps: int) -> None:
    """One contestant, in this process and those that it starts."""
    model = Layers(millions)
    width = model.last.in_features
    inputs, targets = torch.randn(64, width), torch.arange(64) % CLASSES
    data = Data("points", TensorSplit(inputs, targets), TensorSplit(inputs, targets), (width,), CLASSES, "vector")
    if name == PLAIN:
        samples_per_s(Setting(data, model.share_memory(), BATCH, LR, MOMENTUM, steps), WORKERS)
        return
    del model
    with tempfile.TemporaryDirectory() as folder:
        fit(
            functools.partial(Layers, millions), data, workers=WORKERS, lr=LR, momentum=MOMENTUM, batch_size=BATCH,
            updates=steps * WORKERS, eval_every=0, ckpt_every=0, out=folder, **RUNS[name],
        )  # fmt: skip


class Figures(NamedTuple):
    """Bytes."""

    training: float
    most: float
    whole_run: float


def pss(process: psutil.Process) -> int:
    """Of a process and all its descendants, in bytes. Those that end meanwhile count nothing."""
    total = 0
    for one in [process, *process.children(recursive=True)]:
        try:
            lines = Path(f"/proc/{one.pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:"))
    return total


def measured(name: str, millions: float, steps: int) -> Figures:
    with tempfile.TemporaryDirectory() as folder:
        call = f"from bench import memory; memory.run({name!r}, {millions}, {steps})"
        process = subprocess.Popen(
            [sys.executable, "-c", call], env={**os.environ, MARKS: folder}, stdout=subprocess.DEVNULL
        )
        samples, watched = [], psutil.Process(process.pid)
        while process.poll() is None:
            try:
                samples.append((time.monotonic(), pss(watched)))
            except psutil.NoSuchProcess:
                break
            time.sleep(SAMPLED_S)
        if process.wait():
            sys.exit(f"{name}: the run failed")
        times = [[float(line) for line in path.read_text().split()] for path in Path(folder).iterdir()]
    steps_of = [own for own in times if len(own) > 2]  # of workers; the parent tries the model once
    began, ended = max(own[1] for own in steps_of), min(own[-1] for own in steps_of)
    training = [size for at, size in samples if began <= at <= ended]
    return Figures(statistics.median(training), max(training), max(size for _, size in samples))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("contestants", nargs="*", choices=[*RUNS, []])
    parser.add_argument("--parameters", type=float, default=100.0, help="million")
    parser.add_argument("--steps", type=int, default=12, help="of each worker")
    given = parser.parse_args()
    print(f"{'MB of PSS':18}{'training':>10}{'most':>10}{'whole run':>11}   over the plain loop")
    plain = None
    for name in [PLAIN, *(given.contestants or RUNS)]:
        figures = measured(name, given.parameters, given.steps)
        plain = plain or figures
        over = ", ".join(f"{100 * (own / other - 1):+.0f} %" for own, other in zip(figures, plain, strict=True))
        sizes = "{:10,.0f}{:10,.0f}{:11,.0f}".format(*(size / MB for size in figures))
        print(f"{name:18}{sizes}   {over}", flush=True)


if __name__ == "__main__":
    main()
