"""The books of a run: the progress bar, the metrics lines, the summary. Reads counters; decides nothing."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

from hogwild.drivers.evaluation import Score
from hogwild.drivers.job import Job
from hogwild.drivers.state import State
from hogwild.drivers.statistics import Statistics
from hogwild.progress import Console, Status
from hogwild.run_directory import DONE, RunDirectory
from hogwild.shared.world import World

if TYPE_CHECKING:
    from hogwild.drivers.crew import Crew

TRAIN_LINE_S = 1.0
MEMORY_S = 1.0


class Report:
    """Called by the trainer at each turn of its loop."""

    def __init__(self, job: Job, world: World, run: RunDirectory, console: Console) -> None:
        self.job, self.world, self.run, self.console = job, world, run, console
        self.score: Score | None = None
        self.faults = 0
        self.began = self.ended = time.monotonic()
        self._line: tuple[float, Statistics] | None = None
        self._memory_at = 0.0
        self._epochs: list[tuple[int, Statistics]] = []  # (completed tickets, counters) at epoch boundaries

    @property
    def completed(self) -> int:
        """Tickets whose gradient is in the model."""
        return self.world.control.next - len(self.world.control.outstanding())

    @property
    def samples(self) -> int:
        """Samples whose gradient is in the model; with a caller's own loop, those that it counted."""
        if self.job.body is not None:
            return Statistics.of(self.world).samples
        return self.job.order.samples_before(self.completed)

    @property
    def lr(self) -> float:
        """Of the next ticket, or of the last one."""
        return self.job.schedule.lr(max(0, min(self.world.control.next, self.job.total_tickets - 1)))

    def started(self, rank: int, pid: int) -> None:
        """A worker process is up and has joined the run."""
        self.run.metrics("worker", event="started", worker=rank, pid=pid)

    def begin(self) -> None:
        """The workers set off now."""
        self.began = self.ended = time.monotonic()
        self._line = (self.began, Statistics.of(self.world))

    def finished(self, at: float) -> None:
        """A worker said that it did its last update at that time (time.monotonic)."""
        self.ended = max(self.ended, at)

    def tick(self, crew: Crew) -> None:
        """Moves the bar, and writes a metrics line every second."""
        now, stats = time.monotonic(), Statistics.of(self.world)
        completed = self.completed
        per_epoch = self.job.order.tickets_per_epoch
        if completed // per_epoch > len(self._epochs):
            self._epochs += [(completed, stats)] * (completed // per_epoch - len(self._epochs))
        if now - self._memory_at > MEMORY_S:
            self._memory_at = now
            crew.measure_memory()
        if self._line is None:
            return
        since, earlier = self._line
        loss = stats.mean_loss_since(earlier)
        samples = self.job.order.samples_before(completed)
        self.console.update(
            Status(
                samples=samples,
                total_samples=self.job.order.samples_before(self.job.total_tickets),
                epoch=completed / per_epoch,
                loss=loss,
                score=self.score.value if self.score else None,
                metric=self.job.data.metric,
                samples_per_s=stats.samples / max(now - self.began, 1e-9),
                delay_mean=stats.delay_mean,
                delay_p95=stats.delay_quantile(0.95),
                lr=self.lr,
                workers_alive=len(crew.alive),
            )
        )
        if now - since >= TRAIN_LINE_S:
            self._train_line(now, since, stats, earlier)

    def _train_line(self, now: float, since: float, stats: Statistics, earlier: Statistics) -> None:
        self.run.metrics(
            "train",
            samples=self.samples,
            updates=stats.version,
            train_loss=stats.mean_loss_since(earlier),
            samples_per_s=(stats.samples - earlier.samples) / max(now - since, 1e-9),
            delay=stats.delay_summary(),
            gap_rms=stats.gap_rms,
            step_rms=stats.step_rms,
            refused=stats.refused,
            lr=self.lr,
        )
        self._line = (now, stats)

    def evaluated(self, state: State, score: Score) -> None:
        self.score = score
        samples = state.samples(self.job.order)
        self.run.metrics(
            "eval", samples=samples, epoch=samples / self.job.order.samples, updates=state.version, **score.fields()
        )

    def fault(self, reason: str, line: str, **facts: Any) -> None:
        """A line of kind fault, and a warning on the console."""
        self.faults += 1
        self.run.metrics("fault", reason=reason, message=line, **facts)
        self.console.warn(line)

    def summary(self, score: Score | None) -> dict[str, Any]:
        """The keys of summary.json; also writes each worker's closing line."""
        stats = Statistics.of(self.world)
        if self._line is not None:
            self._train_line(time.monotonic(), *self._line[:1], stats, self._line[1])
        for rank in range(self.world.workers):
            self.run.metrics("worker", event="ended", **stats.worker_line(rank))
        config, wall_s = self.job.config, max(self.ended - self.began, 1e-9)
        return {
            "algorithm": config.algorithm,
            "data": config.data,
            "model": config.model,
            "workers": config.workers,
            "device": str(self.world.arena.device),
            "access": config.access,
            "seed": config.seed,
            "updates": stats.version,
            "samples": self.samples,
            "wall_s": wall_s,
            "samples_per_s": stats.samples / wall_s,
            "train_loss": self._last_epoch_loss(stats),
            **(score.fields() if score else {}),
            "delay": stats.delay_summary(),
            "gap_rms": stats.gap_rms,
            "step_rms": stats.step_rms,
            "refused": stats.refused,
            "faults": self.faults,
            "parameters": self.world.layout.parameters,
            "exit_reason": DONE,
        }

    def _last_epoch_loss(self, stats: Statistics) -> float:
        """Mean loss of about the last epoch's gradients: since the newest epoch boundary that lies a whole epoch
        back.
        """
        wanted = self.completed - self.job.order.tickets_per_epoch
        passed = [earlier for completed, earlier in self._epochs if completed <= wanted]
        loss = stats.mean_loss_since(passed[-1] if passed else None)
        return loss if math.isfinite(loss) else stats.mean_loss_since(None)
