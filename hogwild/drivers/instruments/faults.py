"""Gradients that are not finite and samples that cannot be read: reported, counted, a reason to stop the run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hogwild.drivers.checkpoints.manager import Checkpoints
from hogwild.drivers.instruments.left_out import TEST, TRAINING, LeftOut
from hogwild.drivers.instruments.report import Report
from hogwild.drivers.instruments.statistics import Statistics
from hogwild.drivers.job.model import remedy
from hogwild.drivers.job.samples import BadSample
from hogwild.drivers.job.tables import ROWS_REMEDY, diverges
from hogwild.errors import DataError, DivergedError, HogwildError
from hogwild.runs.directory import LOG, RunDirectory

Stop = Callable[[type[HogwildError], str], None]


class Faults:
    """The faults of the data and of the numbers of one run. `stop(kind, why)` ends the run early. `left_out` has the
    samples that could not be read.
    """

    def __init__(self, report: Report, checkpoints: Checkpoints, directory: RunDirectory, stop: Stop) -> None:
        self.report, self.checkpoints, self.directory, self._stop = report, checkpoints, directory, stop
        self.left_out = LeftOut(report.job.config.on_bad_sample, self._tell)

    def nonfinite(self, rank: int, loss: float, elements: int, version: int, lr: float) -> None:
        """Reports a non-finite gradient or loss of worker `rank`: `elements` elements of the gradient were not finite,
        and it was not applied. Stops the run, except under --on-nonfinite skip.
        """
        world = self.report.world
        delay = Statistics.of(world).worker_line(rank)["delay_mean"]
        line = (
            f"worker {rank}: loss is {loss:.4g} at update {version} (mean delay {delay:.1f}, {elements:,} of "
            f"{world.parameters:,} gradient elements not finite, lr {lr:g}); not applied"
        )
        self.report.fault("nonfinite", line, worker=rank)
        if self.report.job.config.on_nonfinite == "stop":
            hint = f"{self.remedy()}; --on-nonfinite skip leaves such gradients out and continues"
            self._stop(DivergedError, f"{line}. Stopping, {self.checkpoints.newest()}; {hint}")

    def remedy(self) -> str:
        """What to do about a run that has diverged."""
        return remedy(self.report.job.config) + (ROWS_REMEDY if diverges(self.report.world) else "")

    def bad_samples(self, bad: Sequence[BadSample], ticket: int, rank: int) -> None:
        """Counts and names samples of the batch of a ticket that worker `rank` could not read and left out. Stops the
        run if it must not go on without them.
        """
        order = self.report.job.order
        try:
            self.left_out.add(bad, TRAINING, int(ticket // order.tickets_per_epoch), order.samples, worker=rank)
        except DataError as error:
            self._stop(DataError, f"{error} (see {self.directory.path / LOG}). Stopping, {self.checkpoints.newest()}")

    def totals(self) -> dict[str, int]:
        """The keys of the summary."""
        return {"bad_samples": self.left_out.total(TRAINING), "bad_test_samples": self.left_out.total(TEST)}

    def _tell(self, line: str, *, trace: str, quietly: bool, **facts: Any) -> None:
        if trace and not quietly:
            self.directory.log(trace)
            line = f"{line}; traceback in {self.directory.path / LOG}"
        self.report.fault("sample", line, quietly=quietly, **facts)
