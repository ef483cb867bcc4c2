"""Many simulated runs at once: algorithms x workers x clocks x values of options x seeds.

Each cell of the grid is a run. Results of finished cells are kept, so that a comparison that was killed goes on, and
its files have the same bytes in the end. What differs from time to time is in a file of its own: the wall times.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import torch

from hogwild.config import Config
from hogwild.drivers.choice import driver_for
from hogwild.drivers.fork_server import PRELOAD, deaths_named, die_with_parent, path_kept
from hogwild.drivers.job.job import make_job
from hogwild.drivers.job.model import model_fn
from hogwild.errors import DivergedError, UsageError
from hogwild.files.reading import json_lines, reading
from hogwild.files.writing import append, write_atomically
from hogwild.runs.console import Console
from hogwild.runs.directory import RunDirectory, is_run
from hogwild.runs.files import to_json
from hogwild.tasks import load
from hogwild.tasks.data import Data

RESULTS, TIMES = "results.jsonl", "wall_times.jsonl"
RUNS = "runs"
PLACES = ("name", "out", "data_dir", "overwrite", "quiet")  # options that change no result


@dataclass(frozen=True)
class Cell:
    """One run of a comparison. `values` are the flat values of its Config. `variant` names the values that distinguish
    it from other cells, as `option=value`.
    """

    algorithm: str
    workers: int
    clock: str
    seed: int
    values: tuple[tuple[str, Any], ...]
    variant: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str | int, ...]:
        return self.algorithm, self.workers, self.clock, self.seed, *self.variant

    @property
    def name(self) -> str:
        """That of its run directory."""
        return "-".join(map(str, self.key)).replace(":", "_").replace("/", "_")

    @property
    def config(self) -> Config:
        own = {"algorithm": self.algorithm, "workers": self.workers, "clock": self.clock, "seed": self.seed}
        return Config.from_values({**dict(self.values), **own, "name": self.name, "overwrite": True, "quiet": True})

    @property
    def options(self) -> dict[str, object]:
        """The options that its result depends on, as values of JSON."""
        values = {name: value for name, value in self.config.values().items() if name not in PLACES}
        return dict(json.loads(to_json(values)))

    @property
    def digest(self) -> str:
        """The same for the same options."""
        return hashlib.sha256(json.dumps(self.options, sort_keys=True).encode()).hexdigest()[:16]


def require_same_options(cells: Iterable[Cell], folder: Path) -> None:
    """UsageError if `folder` has a result of one of the cells that was made with other options: it would be shown as if
    it were one of these. Version 0.2.0 did not record options: see `unchecked`.
    """
    done = {tuple(row["key"]): row.get("options") for row in read(folder)}
    for cell in cells:
        if done.get(cell.key) not in (None, cell.digest):
            raise UsageError(
                f"{folder} has results of other options{_difference(cell, folder)}: choose another --directory, or "
                "remove this one"
            )


def unchecked(cells: Iterable[Cell], folder: Path) -> int:
    """The number of cells with a result in `folder` that does not say by which options it was made."""
    silent = {tuple(row["key"]) for row in read(folder) if row.get("options") is None}
    return sum(cell.key in silent for cell in cells)


def _difference(cell: Cell, folder: Path) -> str:
    """The first option in which the run of the cell differs, where its directory still says so."""
    run = folder / RUNS / cell.name
    theirs = json.loads(to_json(RunDirectory.open(run).values(trust=True))) if is_run(run) else cell.options
    differing = [name for name, value in cell.options.items() if theirs.get(name, value) != value]
    return f" ({differing[0]} {theirs[differing[0]]}, now {cell.options[differing[0]]})" if differing else ""


def missing(cells: Iterable[Cell], folder: Path) -> list[Cell]:
    """Those that have no result in `folder`."""
    done = {tuple(row["key"]) for row in read(folder)}
    return [cell for cell in cells if cell.key not in done]


def run(cells: Sequence[Cell], folder: Path, jobs: int) -> Iterator[dict[str, Any]]:
    """Runs the cells that have no result in `folder`, in `jobs` processes; yields each row when its run has ended.

    A row is appended to results.jsonl when its run has ended, and its wall time to wall_times.jsonl. At the end the
    rows are in the order of the cells, after those of other grids.
    """
    write_rows(folder, read(folder))  # without a half-written line
    todo = missing(cells, folder)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    with path_kept():
        forkserver.ensure_running()
    with deaths_named(), ProcessPoolExecutor(jobs, mp_context=context, initializer=die_with_parent) as pool:
        futures = [pool.submit(run_cell, cell) for cell in todo]
        for future in as_completed(futures):
            row, wall_s = future.result()
            append(folder / TIMES, to_json({"key": row["key"], "wall_s": wall_s}) + "\n")
            append(folder / RESULTS, to_json(row) + "\n")
            yield row
    places = {cell.key: place for place, cell in enumerate(cells)}
    rows = read(folder)
    others = sorted((row for row in rows if tuple(row["key"]) not in places), key=lambda row: str(row["key"]))
    mine = [row for row in rows if tuple(row["key"]) in places]
    write_rows(folder, [*others, *sorted(mine, key=lambda row: places[tuple(row["key"])])])


def write_rows(folder: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Replaces results.jsonl, whole or not at all."""
    write_atomically(folder / RESULTS, "".join(to_json(row) + "\n" for row in rows))


def read(folder: Path) -> list[dict[str, Any]]:
    """The rows of results.jsonl; a half-written last row is left out."""
    path = folder / RESULTS
    if not path.exists():
        return []
    with reading(path, "a file of results", error=UsageError, remedy="Move it away."):
        return [row for row in json_lines(path, error=UsageError, drop_partial=True) if tuple(row["key"])]


def run_cell(cell: Cell) -> tuple[dict[str, Any], float]:
    """Runs one cell in the simulator; its row, and the seconds that it took. A diverged run is a result too; it has no
    score.
    """
    torch.set_num_threads(1)
    config, began = cell.config, time.monotonic()
    directory = RunDirectory.create(config)
    try:
        data = _data(config.data, config.data_dir)
        job = make_job(config, data, model_fn(config))
        summary = driver_for(config)(job, directory, Console(quiet=True, log=directory.log)).run()  # chooses the metric
        directory.summary(summary)
    except DivergedError as error:
        summary = {**error.summary, "exit_reason": "diverged"}
        directory.summary(summary)
    finally:
        directory.close()
    ranking = {"metric": job.data.monitored, "maximize": job.data.larger_is_better}
    row = {"key": list(cell.key), "options": cell.digest, "lr": config.lr, **ranking, **_figures(summary)}
    return row, time.monotonic() - began


def _figures(summary: Mapping[str, Any]) -> dict[str, Any]:
    scores = {name: value for name, value in summary.items() if name.startswith("test_")}
    names = ("exit_reason", "train_loss", "gap_rms", "delay", "updates", "samples", "virtual_s")
    return {**scores, **{name: summary.get(name) for name in names}}


@lru_cache(maxsize=1)
def _data(name: str, folder: str | None) -> Data:
    return load(name, folder)
