"""CPU time of a worker's part of a synchronous round: all of it but data and gradient.

    python -m bench.rounds                           1.3 M parameters in 10 tensors, 2 workers
    python -m bench.rounds ssgd --rounds 200

The workers' views and generators take turns in this process, on one world, with given gradients in private memory; what
they wait for each other costs nothing here. A figure is the CPU time of the thread for one worker's part of a round;
`copy` is that of one copy of a gradient, `asgd` a step without rounds, in the same rounds, as measures of the machine.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import torch
from torch import nn

from hogwild.algorithms.base import Barrier
from hogwild.config import Config
from hogwild.drivers.job.job import make_job
from hogwild.drivers.job.world import world_of
from hogwild.drivers.view.worker_view import view_of
from hogwild.tasks.data import Data
from hogwild.tasks.splits import TensorSplit

WORKERS, WIDTH, LAYERS, CLASSES = 2, 365, 10, 2
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "ssgd": ("ssgd", {}),
    "ssgd momentum": ("ssgd", {"momentum": 0.9}),
    "d-psgd": ("d-psgd", {}),
    "d-psgd momentum": ("d-psgd", {"momentum": 0.9}),
    "easgd-sync": ("easgd-sync", {}),
    "asgd": ("asgd", {}),
}


def layers() -> nn.Module:
    return nn.Sequential(*(nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(LAYERS - 1)), nn.Linear(WIDTH, WIDTH))


class Round:
    """A call makes one round of all workers."""

    def __init__(self, algorithm: str, options: dict[str, Any]) -> None:
        split = TensorSplit(torch.zeros(64, WIDTH), torch.zeros(64, dtype=torch.long))
        data = Data("zeros", split, split, (WIDTH,), CLASSES, "vector")
        config = Config(
            data="digits", algorithm=algorithm, workers=WORKERS, batch_size=8, epochs=1e4, lr=1e-6, options=options
        )
        job = make_job(config, data, lambda _: layers())
        world = world_of(job, job.build(), torch.device("cpu"), WORKERS)
        self.control = control = world.control
        self.views = [view_of(job, world, rank, time.monotonic) for rank in range(WORKERS)]
        self.gradients = [[torch.randn(shape) for shape in world.layout.shapes] for _ in range(WORKERS)]
        for rank in range(WORKERS):
            control.join(rank, job.algorithm.barriers_per_round, 1.0)
        for view in self.views:
            view.lr = config.lr
        self.steps = [job.algorithm.worker(view) for view in self.views]
        for steps in self.steps:
            next(steps)

    def __call__(self) -> None:
        requests: list[Any] = [steps.send(g) for steps, g in zip(self.steps, self.gradients, strict=True)]
        while isinstance(requests[0], Barrier):
            for rank in range(WORKERS):
                self.control.arrive(rank)
            for rank, view in enumerate(self.views):
                generation = self.control.arrived(rank)
                assert self.control.wait_barrier(rank, generation, 1.0), "all have arrived"
                view.rounds.generation = generation
            requests = [steps.send(None) for steps in self.steps]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("cases", nargs="*", choices=[*CASES, []])
    parser.add_argument("--rounds", type=int, default=40)
    given = parser.parse_args()
    torch.set_num_threads(1)
    contestants = {name: Round(*CASES[name]) for name in given.cases or CASES}
    source = torch.randn(sum(p.numel() for p in layers().parameters()))
    target = torch.empty_like(source)
    spent: dict[str, list[float]] = {name: [] for name in [*contestants, "copy"]}
    for _ in range(given.rounds + 1):
        for name, call in [*contestants.items(), ("copy", lambda: target.copy_(source))]:
            began = time.thread_time()
            call()
            spent[name].append((time.thread_time() - began) / (1 if name == "copy" else WORKERS))
    print(f"{'us a worker and round':24}{'least':>9}{'median':>9}{'least, in copies':>19}")
    least_copy = min(spent["copy"][1:])
    for name, (_, *found) in spent.items():
        figures = f"{1e6 * min(found):9,.0f}{1e6 * statistics.median(found):9,.0f}{min(found) / least_copy:19.2f}"
        print(f"{name:24}{figures}")


if __name__ == "__main__":
    main()
