"""Algorithms against the number of workers, each at the best of several learning rates for each number.

    python -m experiments.tuned docs/results         # hours; writes tuned-fashion-mnist.csv and .png, prints the table

Simulated workers with random execution times (gamma clock), an mlp on Fashion-MNIST, batches of 128, three epochs in
samples whatever N is, three seeds. The best rate has the highest mean accuracy over the seeds. Where it was an end of
the list, further ones were tried; `<` and `>` mark a rate that is the least or the greatest one tried even so.
"""

from __future__ import annotations

import argparse
import csv
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from hogwild import system
from hogwild.cli import compare
from hogwild.files.reading import json_lines

NAME = "tuned-fashion-mnist"
WORKERS = (1, 8, 32)
CURVES = 32  # workers whose learning curves are drawn
RUN = ("--data", "fashion_mnist", "--model", "mlp", "--batch-size", "128", "--epochs", "3", "--seeds", "3")


@dataclass(frozen=True)
class Grid:
    """One call of `hogwild compare`, in a directory of its name."""

    name: str
    algorithms: str
    rates: str
    workers: str = ",".join(map(str, WORKERS))


GRIDS = (
    Grid("plain", "ssgd,asgd,dc-asgd,easgd,ad-psgd", "0.4,0.2,0.1,0.05,0.025"),
    Grid("low", "asgd,dc-asgd", "0.0125,0.00625", "8,32"),
    Grid("high", "ssgd,ad-psgd", "0.8", "8"),
    Grid("momentum", "nag-asgd,gap-aware,dana-slim,dana-ga,shifted", "0.04,0.02,0.01,0.005,0.0025"),
    Grid("low-nag", "nag-asgd", "0.00125,0.000625", "8,32"),
    Grid("low-momentum", "gap-aware,dana-slim,shifted", "0.00125,0.000625", "32"),
    Grid("high-dana", "dana-slim,dana-ga", "0.08", "1,8"),
    Grid("adaptive", "adamw,lion", "0.002,0.001,0.0005,0.00025"),
    Grid("low-adamw", "adamw", "0.000125", "32"),
    Grid("low-lion", "lion", "0.000125,0.0000625"),
)


@dataclass(frozen=True)
class Row:
    """One run. `curve`: the accuracy after each epoch; accuracies are NaN after a run has diverged."""

    algorithm: str
    workers: int
    lr: float
    seed: int
    accuracy: float
    curve: tuple[float, ...]


@dataclass(frozen=True)
class Best:
    """An algorithm with N workers, at its best learning rate. `mark`: where that is an end of those tried."""

    lr: float
    mark: str
    runs: Sequence[Row]

    @property
    def mean(self) -> float:
        return statistics.fmean(row.accuracy for row in self.runs)

    def __str__(self) -> str:
        spread = statistics.stdev(row.accuracy for row in self.runs)
        return f"{self.mean:.3f} ± {spread:.3f} ({self.mark}{self.lr:g})"


def rows_of(grid: Grid, folder: Path) -> Iterator[Row]:
    """The runs of one grid, in its directory."""
    written = {float(rate): rate for rate in grid.rates.split(",")}  # as in the names of the runs
    for line in csv.DictReader((folder / "table.csv").open()):
        algorithm, workers, seed, lr = line["algorithm"], int(line["workers"]), int(line["seed"]), float(line["lr"])
        run = f"{algorithm}-{workers}-{line['clock']}-{seed}-lr={written[lr]}"
        journal = folder / "runs" / run / "metrics.jsonl"
        curve = [event["test_accuracy"] for event in json_lines(journal) if event["kind"] == "eval"]
        accuracy = float(line["score"] or "nan") if line["exit_reason"] == "done" else math.nan
        yield Row(algorithm, workers, lr, seed, accuracy, tuple(curve))


def best(rows: Sequence[Row]) -> Best:
    """At the rate with the highest mean; one at which a run diverged is none."""
    by_lr = {lr: [row for row in rows if row.lr == lr] for lr in sorted({row.lr for row in rows})}
    means = {lr: statistics.fmean(row.accuracy for row in runs) for lr, runs in by_lr.items()}
    lr = max(means, key=lambda lr: -math.inf if math.isnan(means[lr]) else means[lr])
    return Best(lr, "<" * (lr == min(means)) + ">" * (lr == max(means)), by_lr[lr])


def chosen(rows: Sequence[Row]) -> dict[str, dict[int, Best]]:
    """algorithm -> workers -> the best of its learning rates."""
    names = dict.fromkeys(name for grid in GRIDS for name in grid.algorithms.split(","))
    return {
        name: {n: best([row for row in rows if (row.algorithm, row.workers) == (name, n)]) for n in WORKERS}
        for name in names
    }


def markdown(found: Mapping[str, Mapping[int, Best]]) -> str:
    lines = [f"| algorithm | {' | '.join(f'N = {n}' for n in WORKERS)} |", "|---" * (len(WORKERS) + 1) + "|"]
    lines += [f"| {name} | {' | '.join(str(each[n]) for n in WORKERS)} |" for name, each in found.items()]
    return "\n".join(lines)


def plot(found: Mapping[str, Mapping[int, Best]], path: Path) -> None:
    """Accuracy against the number of workers, and learning curves with CURVES of them; means over the seeds."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (final, along) = pyplot.subplots(1, 2, figsize=(12, 5))
    for place, (name, each) in enumerate(found.items()):
        look = {"color": f"C{place % 10}", "linestyle": "-" if place < 10 else "--", "marker": "o", "label": name}
        final.plot(WORKERS, [each[n].mean for n in WORKERS], **look)
        curves = [row.curve for row in each[CURVES].runs]
        means = [statistics.fmean(values) for values in zip(*curves, strict=True)]
        along.plot(range(1, len(means) + 1), means, **look)
    final.set(xscale="log", xlabel="workers", ylabel="test accuracy after 3 epochs", xticks=WORKERS)
    final.set_xticklabels(WORKERS)
    along.set(xlabel=f"epochs of {CURVES} workers together", ylabel="test accuracy", xticks=(1, 2, 3))
    along.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    figure.tight_layout()
    figure.savefig(path, dpi=110, metadata={"Software": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, help="where the CSV and the plot are written; the table goes to stdout")
    parser.add_argument("--runs", type=Path, default=Path("runs/tuned"), help="finished runs there are not run again")
    parser.add_argument("--jobs", type=int, default=system.cores().usable)
    given = parser.parse_args()
    for grid in GRIDS:
        tune, where = f"lr={grid.rates}", str(given.runs / grid.name)
        of_grid = ("--algorithms", grid.algorithms, "--workers-list", grid.workers, "--tune", tune)
        compare.main([*RUN, *of_grid, "--directory", where, "--jobs", str(given.jobs)])
    rows = [row for grid in GRIDS for row in rows_of(grid, given.runs / grid.name)]
    with (given.folder / f"{NAME}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [key for key in asdict(rows[0]) if key != "curve"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    found = chosen(rows)
    plot(found, given.folder / f"{NAME}.png")
    print(markdown(found))


if __name__ == "__main__":
    main()
