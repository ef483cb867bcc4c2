"""One slow worker: `python -m experiments.stragglers` writes docs/results/stragglers.md and .csv.

Virtual time: 16 workers; a gradient takes 1, or `slowdown` at worker 0, and an exchange of two models takes 0.1. The
result is the time until all workers together have computed a number of gradients, relative to ssgd without a slow
worker. Real time: 4 processes with gradients that sleep; worker 0 sleeps four times as long. The result is the rate of
gradients, relative to the sum of the rates of the workers alone. Only time is measured; no model is trained.
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import torch
from torch import Tensor, nn

import hogwild
from hogwild import system
from hogwild.config import Config
from hogwild.drivers.job.job import make_job
from hogwild.drivers.simulated import clocks
from hogwild.drivers.simulated.simulator import simulated
from hogwild.shared.world import World
from hogwild.tasks.pairs import to_data

WORKERS, SLOWDOWNS, EXCHANGE = 16, (1, 2, 10, 100), 0.1
PROCESSES, FACTOR = 4, 4
PARAMETERS = 1024
VIRTUAL: dict[str, dict[str, object]] = {
    "ssgd": {},
    "d-psgd": {},
    "easgd-sync": {},
    "easgd": {"period": 1},
    "ad-psgd": {},
    "sgp": {},
}
REAL: dict[str, dict[str, object]] = {"ssgd": {}, "d-psgd": {}, "easgd": {"period": 1}, "ad-psgd": {}}
MODEL_OF_ITS_OWN = {"ssgd": (1, 1.9, 9.2, 91), "d-psgd": (1, 1.9, 9.2, 91), "ad-psgd": (1.01, 1.04, 1.07, 1.08)}
NOTE = """\
*Virtual time* shows how long the algorithms wait: `--clock round-robin --straggler 0:S --bandwidth B`. Every gradient
takes 1, that of worker 0 takes S, and with B two transfers of the model take {exchange}. The rows of an independent
model of the same cluster, written without this code, stand below ours. A synchronous round lasts as long as its slowest
worker. In an algorithm without waiting, a stopped worker costs only its own share, 1 / {workers}: its replica is
averaged while it computes.

*Real processes* on {cores} cores: gradients sleep for {ms:.0f} ms, so that they need no core; worker 0 is made
{factor} times slower (`--straggler 0:{factor}`). Ideal is the sum of the rates of the workers alone, {ideal:.2f}
gradients in {ms:.0f} ms. All time except the sleep lowers our figure, and so does the end of the run, where the others
wait for the last gradient of the slow worker. The ratio cancels the load of the machine ({load:.1f} processes wanted
its cores at the end). Median of {rounds}, the algorithms in turns.
"""


class Sleeper(nn.Module):
    """A model with a training step that takes `seconds` and needs no core."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(PARAMETERS, 2))
        self.seconds = seconds

    def forward(self, inputs: Tensor) -> Tensor:
        if self.training and self.seconds:
            time.sleep(self.seconds)
        return inputs @ self.weight


class Make:
    """A model function that can be sent to a worker."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __call__(self, _data: object = None) -> nn.Module:
        return Sleeper(self.seconds)


def points(n: int) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(n, PARAMETERS, generator=generator)
    return ((inputs, (inputs[:, 0] > 0).long()),) * 2


def virtual_time(algorithm: str, slowdown: float, batches: int) -> float:
    """The time at which the cluster has computed that many gradients."""
    config = Config.from_values(
        {
            "data": "experiments.stragglers:points", "model": "experiments.stragglers:Sleeper", "algorithm": algorithm,
            "workers": WORKERS, "clock": "round-robin", "straggler": {0: slowdown} if slowdown > 1 else {},
            "bandwidth": 2 * 4 * 2 * PARAMETERS / EXCHANGE, "batch_size": 1, "samples": 2 * batches, "lr": 1e-3,
            **VIRTUAL[algorithm],
        }
    )  # fmt: skip
    job = make_job(config, to_data(points(4 * WORKERS), "points"), Make(0.0))
    module = job.build()
    world = World.create(module, job.algorithm.keeps(), WORKERS)
    world.control.assign(0, job.total_tickets, [])
    clock = clocks.parse("round-robin", WORKERS, 0, config.straggler)
    simulation = simulated(job, world, job.build(), clock)
    for _ in range(batches):
        simulation.advance()
    return simulation.now


def real_rate(algorithm: str, factor: int, seconds: float, gradients: int) -> float:
    """Gradients of all processes together in `seconds`."""
    with tempfile.TemporaryDirectory() as out:
        result = hogwild.fit(
            Make(seconds), points(2 * PROCESSES), algorithm=algorithm, workers=PROCESSES, samples=gradients,
            batch_size=1, lr=1e-3, straggler={0: factor} if factor > 1 else {}, eval_every=0, ckpt_every=0, out=out,
            **REAL[algorithm],
        )  # fmt: skip
    return float(result.summary["samples_per_s"]) * seconds


def measured(seconds: float, gradients: int, rounds: int) -> dict[tuple[str, int], float]:
    """{(algorithm, factor): rate over the ideal}, algorithms in turns."""
    found: dict[tuple[str, int], list[float]] = {}
    for _ in range(rounds):
        for algorithm in REAL:
            for factor in (1, FACTOR):
                rate = real_rate(algorithm, factor, seconds, gradients)
                found.setdefault((algorithm, factor), []).append(rate / (PROCESSES - 1 + 1 / factor))
    return {key: statistics.median(rates) for key, rates in found.items()}


def table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def main(write: Callable[[str], object] = print) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    parser.add_argument("--batches", type=int, default=8000, help="gradients until the clock is read")
    parser.add_argument("--gradients", type=int, default=300, help="gradients in a run of real processes")
    parser.add_argument("--sleep", type=float, default=0.1, help="seconds that a real gradient takes")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    base = virtual_time("ssgd", 1, arguments.batches)
    virtual = {(a, s): virtual_time(a, s, arguments.batches) / base for a in VIRTUAL for s in SLOWDOWNS}
    real = measured(arguments.sleep, arguments.gradients, arguments.rounds)
    with (arguments.out / "stragglers.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["kind", "algorithm", "workers", "slowdown", "value"])
        rows.writerows(["virtual", a, WORKERS, s, f"{value:.4f}"] for (a, s), value in virtual.items())
        rows.writerows(["real", a, PROCESSES, s, f"{value:.4f}"] for (a, s), value in real.items())
    head = ["algorithm", *(f"{s}x" for s in SLOWDOWNS)]
    body = []
    for a in VIRTUAL:
        body.append([a, *(f"{virtual[a, s]:.3g}" for s in SLOWDOWNS)])
        if a in MODEL_OF_ITS_OWN:
            body.append([f"{a}, independent model", *(f"{value:g}" for value in MODEL_OF_ITS_OWN[a])])
    note = NOTE.format(
        exchange=EXCHANGE, workers=WORKERS, cores=system.cores().usable, ms=1e3 * arguments.sleep,
        factor=FACTOR, ideal=PROCESSES - 1 + 1 / FACTOR, rounds=arguments.rounds, load=os.getloadavg()[0],
    )  # fmt: skip
    (arguments.out / "stragglers.md").write_text(
        f"# One slow worker\n\n{date.today()}. One row per number: the CSV beside this file.\n\n"
        f"```sh\npython -m experiments.stragglers\n```\n\n{note}\n"
        f"### Virtual time, {WORKERS} workers: time for {arguments.batches:,} gradients, in that of ssgd, all alike\n"
        f"\n{table(head, body)}\n\n"
        f"### {PROCESSES} processes: gradients per second over the ideal\n\n"
        + table(
            ["algorithm", "all alike", f"one {FACTOR}x slower", "ratio"],
            [[a, *(f"{v:.2f}" for v in (real[a, 1], real[a, FACTOR], real[a, FACTOR] / real[a, 1]))] for a in REAL],
        )
        + "\n"
    )
    write(f"{arguments.out / 'stragglers.md'}")


if __name__ == "__main__":
    main()
