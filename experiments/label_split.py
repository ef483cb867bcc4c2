"""Averaging over a ring of workers with two of the ten digits each, compared with workers that draw from all digits.

    python -m experiments.label_split docs/results       # writes label-split-digits.csv, prints its table

Five simulated workers, a 64-64-10 network, batches of 16. The loss is the loss of the result on the whole training set,
not on the workers' own samples. The worst replica is the replica with the lowest test accuracy.
"""

from __future__ import annotations

import argparse
import csv
import math
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hogwild import system
from hogwild.buffers import has_replicas
from hogwild.config import Config
from hogwild.drivers.instruments.evaluation import evaluate
from hogwild.drivers.job.job import make_job
from hogwild.drivers.simulated.simulator import Simulator
from hogwild.errors import DivergedError
from hogwild.runs.console import Console
from hogwild.runs.directory import RunDirectory
from hogwild.tasks import load
from hogwild.tasks.data import Data

WORKERS, BATCH, ROUNDS, SEEDS = 5, 16, 1500, 3
SHARDS = {"none": "shuffled", "label": "label-split"}
RING: dict[str, Any] = {"topology": "ring"}
UNIFORM: dict[str, Any] = {**RING, "weights": "uniform"}
CASES: tuple[tuple[str, float, dict[str, Any]], ...] = (
    ("ssgd", 0.5, {}),
    ("d-psgd", 0.5, UNIFORM),
    ("ad-psgd", 0.5, RING),
    ("d2", 0.5, UNIFORM),
    ("gradient-tracking", 0.5, UNIFORM),
    ("gradient-tracking", 0.2, UNIFORM),
    ("qg-dsgdm", 0.05, UNIFORM),
    ("easgd", 0.5, {"period": 1}),
)


@dataclass(frozen=True)
class Row:
    """One run. Losses and accuracies are NaN if it diverged."""

    algorithm: str
    lr: float
    shard: str
    seed: int
    train_loss: float = math.nan
    test_accuracy: float = math.nan
    worst_replica: float = math.nan


def network(_data: Data) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


def run(algorithm: str, lr: float, options: dict[str, Any], shard: str, seed: int, rounds: int) -> Row:
    """One simulated run with the given number of batches per worker."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        config = Config.from_values(
            {
                "algorithm": algorithm, "lr": lr, **options, "shard": shard, "seed": seed, "workers": WORKERS,
                "batch_size": BATCH, "samples": rounds * WORKERS * BATCH, "clock": "round-robin", "eval_every": 0,
                "out": folder,
            }
        )  # fmt: skip
        directory = RunDirectory.create(config)
        try:
            simulator = Simulator(make_job(config, load("digits"), network), directory, Console(quiet=True))
            summary = simulator.run()
        except DivergedError:
            return Row(algorithm, lr, shard, seed)
        finally:
            directory.close()
        return Row(
            algorithm, lr, shard, seed,
            train_loss=evaluate(simulator.module, simulator.job.data, simulator.job.data.train).loss,
            test_accuracy=summary["test_accuracy"],
            worst_replica=min(_replicas(simulator), default=summary["test_accuracy"]),
        )  # fmt: skip


def _replicas(simulator: Simulator) -> Iterator[float]:
    """The test accuracy of every replica."""
    job, world = simulator.job, simulator.world
    if not has_replicas(job.algorithm.keeps()):
        return
    module = job.build()
    for rank in range(world.workers):
        world.layout.bind(module, world.arena.tensor("replica", rank))
        yield evaluate(module, job.data, job.data.test).value


def markdown(rows: Sequence[Row]) -> str:
    """A line per algorithm and lr; mean ± sample standard deviation over the seeds, shuffled beside label-split."""
    figures = ("train_loss", "worst_replica")
    heads = [f"{figure.replace('_', ' ')}, {name}" for name in SHARDS.values() for figure in figures]
    lines = [f"| algorithm | lr | {' | '.join(heads)} |", "|---" * (len(heads) + 2) + "|"]
    for algorithm, lr in dict.fromkeys((row.algorithm, row.lr) for row in rows):
        own = [row for row in rows if (row.algorithm, row.lr) == (algorithm, lr)]
        cells = [
            _cell([getattr(row, figure) for row in own if row.shard == shard]) for shard in SHARDS for figure in figures
        ]
        lines.append(f"| {algorithm} | {lr:g} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(values: Sequence[float]) -> str:
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return "diverged"
    spread = f" ± {statistics.stdev(finite):.4f}" if len(finite) > 1 else ""
    lost = f" ({len(values) - len(finite)} diverged)" if len(finite) < len(values) else ""
    return f"{statistics.mean(finite):.4f}{spread}{lost}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, help="where label-split-digits.csv is written; the table goes to stdout")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--jobs", type=int, default=system.cores().usable)
    given = parser.parse_args()
    with ProcessPoolExecutor(given.jobs) as pool:
        futures = [
            pool.submit(run, *case, shard, seed, given.rounds)
            for case, shard, seed in product(CASES, SHARDS, range(given.seeds))
        ]
        rows = [future.result() for future in futures]
    with (given.folder / "label-split-digits.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(asdict(rows[0])))
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    print(markdown(rows))


if __name__ == "__main__":
    main()
