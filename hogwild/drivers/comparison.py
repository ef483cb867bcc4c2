"""Many simulated runs at once: algorithms x workers x clocks x values of options x seeds.

Each cell of the grid is a run. Results of finished cells are kept.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import torch

from hogwild.config import Config
from hogwild.drivers.choice import driver_for
from hogwild.drivers.fork_server import PRELOAD, deaths_named, path_kept
from hogwild.drivers.job.job import make_job
from hogwild.drivers.job.model import model_fn
from hogwild.errors import DivergedError, UsageError
from hogwild.files.reading import json_lines, reading
from hogwild.files.writing import append, write_atomically
from hogwild.runs.console import Console
from hogwild.runs.directory import RunDirectory
from hogwild.runs.files import to_json
from hogwild.tasks import load
from hogwild.tasks.data import Data

RESULTS = "results.jsonl"


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
    def config(self) -> Config:
        own = {"algorithm": self.algorithm, "workers": self.workers, "clock": self.clock, "seed": self.seed}
        name = "-".join(map(str, self.key)).replace(":", "_").replace("/", "_")
        return Config.from_values({**dict(self.values), **own, "name": name, "overwrite": True, "quiet": True})


def run(cells: Iterable[Cell], folder: Path, jobs: int) -> Iterator[dict[str, Any]]:
    """Runs the cells that have no result in `folder`, in `jobs` processes; yields each row when its run has ended.

    A row is appended to results.jsonl when its run has ended, so an interrupted comparison continues where it stopped.
    """
    rows = read(folder)
    write_atomically(folder / RESULTS, "".join(to_json(row) + "\n" for row in rows))  # without a half-written line
    done = {tuple(row["key"]) for row in rows}
    todo = [cell for cell in cells if cell.key not in done]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    with path_kept():
        forkserver.ensure_running()
    with deaths_named(), ProcessPoolExecutor(jobs, mp_context=context) as pool:
        futures = [pool.submit(run_cell, cell) for cell in todo]
        for future in as_completed(futures):
            row = future.result()
            append(folder / RESULTS, to_json(row) + "\n")
            yield row


def read(folder: Path) -> list[dict[str, Any]]:
    """The rows of results.jsonl; a half-written last row is left out."""
    path = folder / RESULTS
    if not path.exists():
        return []
    with reading(path, "a file of results", error=UsageError, remedy="Move it away."):
        return [row for row in json_lines(path, error=UsageError, drop_partial=True) if tuple(row["key"])]


def run_cell(cell: Cell) -> dict[str, Any]:
    """Runs one cell in the simulator and returns its row. A diverged run is a result too; it has no score."""
    torch.set_num_threads(1)
    config = cell.config
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
    return {"key": list(cell.key), "lr": config.lr, **ranking, **_figures(summary)}


def _figures(summary: Mapping[str, Any]) -> dict[str, Any]:
    scores = {name: value for name, value in summary.items() if name.startswith("test_")}
    names = ("exit_reason", "train_loss", "gap_rms", "delay", "updates", "samples", "virtual_s", "wall_s")
    return {**scores, **{name: summary.get(name) for name in names}}


@lru_cache(maxsize=1)
def _data(name: str, folder: str | None) -> Data:
    return load(name, folder)
