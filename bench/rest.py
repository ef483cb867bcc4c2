"""CPU time of a worker's step beside its data and its gradient: checks, push, statistics, buffers, the loop.

    python -m bench.rest                        all cases
    python -m bench.rest digits-mlp --rounds 40

A worker of a run of one runs in this process. Its data (reading the batch, moving it) and its gradient (forward and
backward) are timed inside its loop, and left out; the timers themselves, some 2 us, are not. A figure is the median of
the rounds, with the least and the quartiles; a round is `--steps` steps. Times are CPU times of the thread, so a busy
machine matters less, but its caches are shared: quote ratios of runs that took turns.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hogwild.config import Config
from hogwild.drivers.job.job import make_job
from hogwild.drivers.processes import worker as workers
from hogwild.drivers.processes.context import WorkerContext
from hogwild.shared.control import NO_TICKET
from hogwild.shared.world import World
from hogwild.tasks.data import Data
from hogwild.tasks.splits import TensorSplit

BATCH, FEATURES, CLASSES = 32, 64, 10
STAGES = ((64, 256, 3), (128, 512, 4), (256, 1024, 6), (512, 2048, 3))  # of ResNet-50: width, output, blocks


class Norms(nn.Module):
    """The 53 BatchNorm layers of ResNet-50, 159 buffers and 106 parameters, which no batch passes; and a linear one."""

    def __init__(self) -> None:
        super().__init__()
        widths = [64]
        for width, output, blocks in STAGES:
            widths += [output] + [width, width, output] * blocks
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for width in widths)
        self.last = nn.Linear(FEATURES, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(x)


class Transformer(nn.Module):
    """12 layers, without buffers."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 12, enable_nested_tensor=False)
        self.last = nn.Linear(16, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.layers(x.view(-1, 4, 16)).mean(1))


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(FEATURES, 64), nn.ReLU(), nn.Linear(64, CLASSES))


@dataclass(frozen=True)
class Case:
    model: Callable[[], nn.Module]
    algorithm: str = "asgd"
    options: dict[str, Any] = field(default_factory=dict)


CASES = {
    "digits-mlp": Case(mlp),
    "digits-mlp heavy-ball": Case(mlp, options={"momentum": 0.9}),
    "digits-mlp gap-aware": Case(mlp, "gap-aware"),
    "159 buffers": Case(Norms),
    "transformer": Case(Transformer),
}


class Timer:
    """Adds up the CPU time of the calls that it wraps."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            began = time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds += time.thread_time() - began

        return timed


class Timed:
    """An object that is called, with the time of its calls taken."""

    def __init__(self, inner: Callable[..., Any], timer: Timer) -> None:
        self._inner, self._call = inner, timer.around(inner)

    def __call__(self, *args: Any) -> Any:
        return self._call(*args)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class Steps:
    """A worker whose loop ends after as many steps as it is told."""

    def __init__(self, case: Case, folder: Path) -> None:
        generator = torch.Generator().manual_seed(0)
        inputs = torch.randn(100 * BATCH, FEATURES, generator=generator)
        targets = torch.randint(CLASSES, (100 * BATCH,), generator=generator)
        data = Data(
            "points", TensorSplit(inputs, targets), TensorSplit(inputs, targets), (FEATURES,), CLASSES, "vector"
        )
        config = Config(
            data="digits", algorithm=case.algorithm, workers=1, batch_size=BATCH, epochs=1e5, lr=1e-4,
            options=case.options,
        )  # fmt: skip
        job = make_job(config, data, lambda _: case.model())
        world = World.create(job.build(), job.algorithm.keeps(), 1)
        world.control.assign(0, job.total_tickets, [])
        self._heard, told = multiprocessing.Pipe(duplex=False)
        self._worker = worker = workers.Worker(job, WorkerContext(world, 0, told, folder / "0.log", None))
        self._timer, self._left, self._taken = Timer(), 0, worker._take
        worker.source.of_ticket = self._timer.around(worker.source.of_ticket)  # type: ignore[method-assign]
        worker._take = self._take  # type: ignore[method-assign]
        worker.enter_run()
        worker.compute = Timed(worker.compute, self._timer)  # type: ignore[assignment]

    def _take(self) -> int:
        self._left -= 1
        return self._taken() if self._left >= 0 else NO_TICKET

    def __call__(self, count: int) -> float:
        """Seconds of a step beside data and gradient, the mean of `count`."""
        self._left, self._timer.seconds = count, 0.0
        began = time.thread_time()
        self._worker._train()
        spent = time.thread_time() - began
        return (spent - self._timer.seconds) / count


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("cases", nargs="*", choices=[*CASES, []])
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--steps", type=int, default=60)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'case':24}{'median us':>11}{'least':>9}{'quartiles':>20}")
    for name in given.cases or CASES:
        with tempfile.TemporaryDirectory() as folder:
            steps = Steps(CASES[name], Path(folder))
            steps(given.steps)
            found = sorted(1e6 * steps(given.steps) for _ in range(given.rounds))
        low, middle, high = statistics.quantiles(found, n=4) if len(found) > 1 else found * 3
        print(f"{name:24}{middle:11.1f}{found[0]:9.1f}{f'{low:.1f} to {high:.1f}':>20}", flush=True)


if __name__ == "__main__":
    main()
