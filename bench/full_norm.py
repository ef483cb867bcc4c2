"""Full Normalization against BatchNorm, GroupNorm and no normalisation, on batches built well and badly.

    python -m bench.full_norm --out docs/results        writes full-norm.md, full-norm.csv and full-norm.png

Claims of Lian and Liu 2019 (arXiv:1810.06177), in our words: where every batch holds one class, Full Normalization
trains as on shuffled batches, and BatchNorm does not train at all. The sizes, nets and numbers are ours.

One worker, in the simulator: digits (1,280 training samples) and Fashion-MNIST (2,560, shrunk to 14x14 by means of four
pixels), as many of each class; the model mlp, whose one norm has 256 channels; the same initial weights, batches, lr,
cosine schedule and clip for all norms. Then two and four lock-free processes on digits, whose workers have different
classes (--shard label), also of one class per batch.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import math
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
import torch.nn.functional as F

from hogwild.config import Config
from hogwild.drivers import clocks
from hogwild.drivers.evaluation import evaluate
from hogwild.drivers.job import Job, make_job
from hogwild.drivers.model import model_fn, shared_buffers
from hogwild.drivers.processes import Trainer
from hogwild.drivers.simulator import Simulation
from hogwild.drivers.state import State
from hogwild.errors import DivergedError
from hogwild.progress import Console
from hogwild.run_directory import RunDirectory
from hogwild.shared.world import World
from hogwild.system import THREAD_VARIABLES
from hogwild.tasks import TensorSplit, load
from hogwild.tasks.data import Data, Split

Row = dict[str, Any]

COLUMNS = ("data", "workers", "order", "batch_size", "norm", "state", "seed", "accuracy", "ended")
PER_CLASS = {"digits": 128, "fashion_mnist": 256}
TESTS = 2000
ORDERS = ("shuffled", "sorted", "single-class")
NORMS = ("full", "batch", "group", "none")
SETTINGS = {1: (2000, 0.01), 2: (1500, 0.01), 16: (1500, 0.02), 64: (1500, 0.02)}
"""Batch size -> updates, lr."""
CLIP = 16.0
SPLIT_UPDATES, SPLIT_BATCH, SPLIT_LR = 3000, 16, 0.02
STATES = (("full", "shared"), ("full", "worker"), ("batch", ""), ("group", ""), ("none", ""))
SPLIT_ORDERS = ("shuffled", "single-class")
SEEDS = 3
SMOKE = 30
"""Updates of a run at the scale that only tries every step."""

CHANCE = 0.1
REFUSED = "more than 1 value per channel"
"""How torch's BatchNorm1d refuses a batch of one sample."""


@lru_cache(maxsize=1)
def images(name: str) -> Data:
    """The first PER_CLASS training samples of each class, and up to TESTS test samples."""
    data = load(name)
    train, test = (_tensors(split) for split in (data.train, data.test))
    index = torch.cat([torch.where(train[1] == label)[0][: PER_CLASS[name]] for label in range(data.classes)])
    splits = {"train": TensorSplit(train[0][index], train[1][index]), "test": TensorSplit(*(t[:TESTS] for t in test))}
    return Data(**{**vars(data), **splits, "input_shape": tuple(train[0].shape[1:])})


def _tensors(split: Split) -> tuple[torch.Tensor, torch.Tensor]:
    inputs, targets = split.batch(torch.arange(len(split)), train=False)
    return (F.avg_pool2d(inputs, 2) if inputs.shape[-1] == 28 else inputs), targets


def job_of(data: str, norm: str, batch_size: int, lr: float, **values: Any) -> Job:
    config = Config.from_values(
        {
            "data": data, "model": "mlp", "norm": norm, "batch_size": batch_size, "lr": lr, "schedule": "cosine",
            "clip": CLIP, "eval_every": 0, "quiet": True, **values,
        }
    )  # fmt: skip
    return make_job(config, images(data), model_fn(config))


def simulate(data: str, order: str, batch_size: int, norm: str, seed: int, updates: int | None) -> Row:
    """One worker; how it ended, and the accuracy then."""
    torch.set_num_threads(1)
    known, lr = SETTINGS[batch_size]
    values = {"order": order, "seed": seed, "updates": updates or known, "clock": "round-robin", "workers": 1}
    job = job_of(data, norm, batch_size, lr, **values)
    module = job.build()
    world = World.create(module, job.algorithm.keeps(), 1, shared_buffers=shared_buffers(job.config, module))
    world.control.deal(0, job.total_tickets, [])
    simulation = Simulation(job, world, job.build(), clocks.parse("round-robin", 1, seed, {}))
    try:
        while (push := simulation.advance()) is not None:
            if not math.isfinite(push.loss):
                return {"accuracy": None, "ended": "diverged"}
    except ValueError as error:
        if REFUSED not in str(error):
            raise
        return {"accuracy": None, "ended": "refused"}
    State.of(world, module, job.algorithm).load_module(module)
    return {"accuracy": evaluate(module, job.data, job.data.test).value, "ended": "done"}


def split(order: str, workers: int, norm: str, state: str, seed: int, updates: int | None) -> Row:
    """Lock-free processes on digits, each with classes of its own."""
    values: dict[str, Any] = {"order": order, "seed": seed, "updates": updates or SPLIT_UPDATES, "workers": workers}
    with tempfile.TemporaryDirectory() as folder:
        own = {"norm_state": state} if state else {}
        job = job_of("digits", norm, SPLIT_BATCH, SPLIT_LR, shard="label", out=folder, **own, **values)
        run = RunDirectory.create(job.config)
        try:
            summary = Trainer(job, run, Console(quiet=True, log=run.log)).run()
        except DivergedError:
            return {"accuracy": None, "ended": "diverged"}
        finally:
            run.close()
    return {"accuracy": summary["test_accuracy"], "ended": "done"}


def compute(seeds: int, updates: int | None, jobs: int) -> list[Row]:
    """All rows; the processes of the split runs have the machine for themselves."""
    grid = itertools.product(PER_CLASS, ORDERS, SETTINGS, NORMS, range(seeds))
    cases = [dict(zip(("data", "order", "batch_size", "norm", "seed"), case, strict=True)) for case in grid]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["hogwild.drivers.processes"])
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        futures = [pool.submit(simulate, **case, updates=updates) for case in cases]
        rows = [
            {**case, "workers": 1, "state": ""} | future.result() for case, future in zip(cases, futures, strict=True)
        ]
    for order, workers, (norm, state), seed in itertools.product(
        ("shuffled", "single-class"), (2, 4), STATES, range(seeds)
    ):
        case = {"order": order, "workers": workers, "norm": norm, "state": state, "seed": seed}
        rows.append({"data": "digits", "batch_size": SPLIT_BATCH, **case} | split(**case, updates=updates))
    return rows


def cell(rows: Iterable[Row]) -> str:
    """`97.1 ± 0.3`, in percent: mean and sample standard deviation over the seeds that came to an end."""
    rows = list(rows)
    scores = [100 * row["accuracy"] for row in rows if row["accuracy"] is not None]
    lost = len(rows) - len(scores)
    if not scores:
        return rows[0]["ended"] if rows else "-"
    spread = f" ± {stdev(scores):.1f}" if len(scores) > 1 else ""
    return f"{mean(scores):.1f}{spread}" + (f" ({lost} of {len(rows)} {rows[-1]['ended']})" if lost else "")


def select(rows: Iterable[Row], **wanted: Any) -> list[Row]:
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def accuracy(rows: Iterable[Row], **wanted: Any) -> float:
    """Mean over the seeds; NaN where none came to an end."""
    scores = [row["accuracy"] for row in select(rows, **wanted) if row["accuracy"] is not None]
    return mean(scores) if scores else math.nan


def verdict(rows: Sequence[Row]) -> list[str]:
    """What the rows say of the claims, with all the numbers."""
    lines = []
    for data in PER_CLASS:
        alone = select(rows, workers=1, data=data)
        full, batch = (
            {size: {order: 100 * accuracy(alone, batch_size=size, norm=norm, order=order) for order in ORDERS}
             for size in SETTINGS}
            for norm in ("full", "batch")
        )  # fmt: skip
        gaps = {size: found["shuffled"] - found["single-class"] for size, found in full.items()}
        listing = ", ".join(f"{gap:.1f} (size {size})" for size, gap in gaps.items())
        lines.append(_said(
            f"{data}: Full Normalization on single-class batches at most 2 points below shuffled ones",
            max(gaps.values()) <= 2, f"below by {listing}",
        ))  # fmt: skip
        scores = {size: found["single-class"] for size, found in batch.items()}
        listing = ", ".join("refused" if math.isnan(score) else f"{score:.1f}" for score in scores.values())
        at_chance = not any(score >= 200 * CHANCE for score in scores.values())
        lines.append(_said(f"{data}: BatchNorm on single-class batches below {200 * CHANCE:.0f}", at_chance, listing))
    for workers in (2, 4):
        found = select(rows, workers=workers, order="single-class")
        full_score, batch_score = (
            100 * accuracy(found, norm=norm, state=state) for norm, state in (STATES[0], STATES[2])
        )
        lines.append(_said(
            f"{workers} lock-free workers with classes of their own, one per batch: Full Normalization with shared "
            f"averages above 80, BatchNorm below {200 * CHANCE:.0f}",
            full_score > 80 and batch_score < 200 * CHANCE, f"{full_score:.1f} and {batch_score:.1f}",
        ))  # fmt: skip
    return lines


def _said(claim: str, holds: bool, measured: str) -> str:
    return f"{claim}: **{'holds' if holds else 'does not hold'}**, {measured}."


def markdown(rows: Sequence[Row], command: str, wall_s: float) -> str:
    """The report: what was measured, what holds, the tables."""
    settings = ", ".join(f"{size} ({n} updates, lr {lr:g})" for size, (n, lr) in SETTINGS.items())
    seeds = len({row["seed"] for row in rows})
    lines = [
        "# Full Normalization on badly built batches", "", *(__doc__ or "").split("\n\n", 2)[2].splitlines(), "",
        f"`{command}`: {wall_s / 60:.1f} minutes on {os.cpu_count()} cores, torch {torch.__version__}; {seeds} seeds,",
        f"clip {CLIP:g}, batch sizes {settings}.",
        f"Processes: {SPLIT_UPDATES} updates, lr {SPLIT_LR:g}. Figures are percent of the test samples, mean and",
        "standard deviation over the seeds; *refused*: BatchNorm takes no batch of one sample.",
        "", "## What holds", "", *(f"- {line}" for line in verdict(rows)), "",
    ]  # fmt: skip
    for data in PER_CLASS:
        lines += [f"## {data}, one worker", "", f"| batches | size | {' | '.join(NORMS)} |"]
        lines.append("|---" * (len(NORMS) + 2) + "|")
        for order, size in itertools.product(ORDERS, SETTINGS):
            found = select(rows, workers=1, data=data, order=order, batch_size=size)
            cells = [cell(select(found, norm=norm)) for norm in NORMS]
            lines.append(f"| {order} | {size} | {' | '.join(cells)} |")
        lines.append("")
    lines += [
        f"## digits, lock-free processes with classes of their own, batches of {SPLIT_BATCH}", "",
        "| batches | workers | full, shared | full, private | batch | group | none |", "|---" * 7 + "|",
    ]  # fmt: skip
    for order, workers in itertools.product(SPLIT_ORDERS, (2, 4)):
        found = select(rows, workers=workers, order=order)
        cells = [cell(select(found, norm=norm, state=state)) for norm, state in STATES]
        lines.append(f"| {order} | {workers} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", "![accuracy](full-norm.png)", ""])


def plot(path: Path, rows: Sequence[Row]) -> None:
    """Accuracy over the batch size, a panel per data set and order, a line per norm."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6), layout="constrained")
    panels = figure.subplots(len(PER_CLASS), len(ORDERS), sharex=True, sharey="row")
    for (data, order), axes in zip(itertools.product(PER_CLASS, ORDERS), panels.flat, strict=True):
        for norm in NORMS:
            points = [
                (size, accuracy(rows, workers=1, data=data, order=order, batch_size=size, norm=norm))
                for size in SETTINGS
            ]
            axes.plot(*zip(*points, strict=True), marker="o", label=norm)
        axes.set(xscale="log", title=f"{data}, {order}", ylim=(0, 1))
        axes.axhline(CHANCE, linestyle=":", color="grey")
        axes.set_xticks(list(SETTINGS), [str(size) for size in SETTINGS])
    panels[0][0].legend(fontsize="small")
    figure.supxlabel("batch size")
    figure.supylabel("test accuracy")
    figure.savefig(path, dpi=100)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.full_norm", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument(
        "--smoke", action="store_true", help=f"one seed, {SMOKE} updates: tries every step, shows nothing"
    )
    given = parser.parse_args(argv)
    for variable in THREAD_VARIABLES:
        os.environ[variable] = "1"
    began = time.monotonic()
    rows = compute(1 if given.smoke else SEEDS, SMOKE if given.smoke else None, given.jobs)
    given.out.mkdir(parents=True, exist_ok=True)
    with (given.out / "full-norm.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    plot(given.out / "full-norm.png", rows)
    command = f"python -m bench.full_norm --out {given.out}"
    (given.out / "full-norm.md").write_text(markdown(rows, command, time.monotonic() - began))
    return 0


if __name__ == "__main__":
    sys.exit(main())
