"""A run of this package, with the default settings; the parent copies the model now and then, and evaluates nothing."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from bench.contest.course import Copy, Course, weights_of
from bench.contest.tasks import BATCH_SIZE, Task
from hogwild.config import Config
from hogwild.drivers.callbacks.callback import Callback, Run
from hogwild.drivers.job.job import make_job
from hogwild.drivers.processes.trainer import Trainer
from hogwild.library.models import Make
from hogwild.runs.console import Console
from hogwild.runs.directory import RunDirectory
from hogwild.tasks.data import Data

PROCESSES = 2


@dataclass(frozen=True)
class Trial:
    """One run: what is trained, and how. `copies`: how many of the model are scored."""

    task: Task
    data: Data
    lr: float
    seed: int
    samples: int
    copies: int

    @property
    def steps(self) -> int:
        """Batches of BATCH_SIZE samples."""
        return self.samples // BATCH_SIZE


class Copies(Callback):
    """Keeps copies of the model, with the time."""

    def __init__(self, every: int) -> None:
        self.copies_every = every
        self.found: list[tuple[float, Copy]] = []

    def on_copy(self, run: Run) -> None:
        self._keep(run)

    def on_end(self, run: Run) -> None:
        self._keep(run)

    def _keep(self, run: Run) -> None:
        now = time.monotonic()
        self.found.append((now, Copy(now, run.samples, weights_of(run.model))))


def train(trial: Trial, algorithm: str, options: Mapping[str, object]) -> Course:
    with tempfile.TemporaryDirectory() as out:
        config = Config.from_values({
            "data": trial.task.data, "model": trial.task.model, "algorithm": algorithm, "lr": trial.lr,
            "batch_size": BATCH_SIZE, "workers": PROCESSES, "seed": trial.seed, "samples": trial.steps * BATCH_SIZE,
            "eval_every": 0, "ckpt_every": 0, "out": out, "quiet": True, "device": "cpu", **options,
        })  # fmt: skip
        job = make_job(config, trial.data, Make(trial.task.maker(trial.data, trial.seed)))
        per_update = job.algorithm.gradients_per_update(PROCESSES)
        copies = Copies(max(job.total_tickets // per_update // trial.copies, 1))
        directory = RunDirectory.create(config, {})
        with Console(quiet=True, log=directory.log) as console:
            driver = Trainer(replace(job, callbacks=(copies,)), directory, console)
            try:
                driver.run()
            finally:
                directory.close()
        began, ended = driver.report.began, driver.report.ended
    kept = [replace(copy, seconds=min(at, ended) - began) for at, copy in copies.found]
    return Course(kept, ended - began, kept[-1].samples)
