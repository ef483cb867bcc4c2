"""The report of a run: the progress bar, the events of its journal, the summary. It only reads counters."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hogwild import system
from hogwild.drivers.checkpoints.state import State
from hogwild.drivers.instruments import tables
from hogwild.drivers.instruments.counts import Counts
from hogwild.drivers.instruments.edge import Edge, long_delays
from hogwild.drivers.instruments.evaluation import Score
from hogwild.drivers.instruments.silent import Silent
from hogwild.drivers.instruments.statistics import Statistics
from hogwild.drivers.instruments.timeline import TimelineWriter
from hogwild.drivers.instruments.train_lines import TrainLines
from hogwild.drivers.job.job import Job
from hogwild.runs.console import Console, Status
from hogwild.runs.directory import DONE, TIMELINE, RunDirectory
from hogwild.shared.world import World


class Report:
    """Reports one run, in processes or simulated. Times of events are those of the run's clock.

    A resumed run's counters continue from those of its checkpoint, so totals and means cover the whole run. Rates per
    second cover this part of the run only: the increase of a counter since `begin`, over the time since then.
    """

    def __init__(self, job: Job, world: World, run: RunDirectory, console: Console) -> None:
        self.job, self.world, self.journal, self.console = job, world, run.journal, console
        self.counts = Counts(job, world)
        self.lines = TrainLines(self.counts, run.journal)
        self.timeline = TimelineWriter(world, run.path / TIMELINE, run.journal)
        self._start = Statistics.of(world)  # at the start of this part of the run
        self._hot_rows = tables.HotRows(world)
        self._silent = Silent(world.workers)
        self.edge = Edge(job, run.journal, console, self._start)
        self.score: Score | None = None
        self.faults = 0
        self.beside: dict[str, Any] = {}  # what else the bar shows of a Status: boxes, exchanges, lag, sent_per_s
        self._pids: dict[int, int] = {}
        self.hear: Callable[[dict[str, Any]], object] = lambda _fault: None  # is told each fault
        self.began = self.ended = time.monotonic()
        self._epochs: list[tuple[int, Statistics]] = []  # (completed tickets, counters) at epoch boundaries

    def started(self, rank: int, pid: int) -> None:
        """Reports that a worker process has started and joined the run, for the first time or in place of another."""
        event = "replaced" if rank in self._pids else "started"
        self._pids[rank] = pid
        self.journal.event("worker", event=event, worker=rank, pid=pid)

    def left(self, rank: int) -> None:
        """Reports that a worker has died and is not replaced."""
        self.journal.event("worker", event="left", worker=rank)

    def overtaken(self, rank: int) -> None:
        """Reports that a worker was ended in its last batch, which another one has completed."""
        self.journal.event("worker", event="overtaken", worker=rank)
        self.console.info(f"worker {rank} was still computing a batch that another one has completed: ended")

    def begin(self) -> None:
        """The workers start now."""
        self.began = self.ended = time.monotonic()
        self._start = Statistics.of(self.world)
        self.lines.begin(self._start)

    def finished(self, at: float) -> None:
        """A worker reported that it made its last update at that time (time.monotonic)."""
        self.ended = max(self.ended, at)

    def tick(self, alive: int) -> None:
        """One turn of the trainer's loop: moves the bar, takes the timeline to its file, and writes an event of kind
        train if one is due.
        """
        stats = Statistics.of(self.world)
        self.mark_epoch(stats)
        if self.lines.last is None:
            return
        self.timeline.drain()
        self.show(alive, stats)
        self.lines.write_if_due(stats)

    def mark_epoch(self, stats: Statistics) -> None:
        """Keeps the counters at epoch boundaries, for the training loss of the last epoch; warns of hot rows and of
        workers that do not count.
        """
        if (line := self._hot_rows.warning(stats.version)) is not None:
            self.console.warn(line)
        for line in self._silent.warnings(stats):
            self.console.warn(line)
        if self.job.body is not None:
            return
        completed, per_epoch = self.counts.completed, self.job.order.tickets_per_epoch
        if completed // per_epoch > (self._epochs[-1][0] // per_epoch if self._epochs else 0):
            if not self._epochs and (line := long_delays(self.job, stats.delay_mean)) is not None:
                self.console.warn(line)
            self._epochs.append((completed, stats))
            while len(self._epochs) > 1 and self._epochs[1][0] <= completed - per_epoch:
                self._epochs.pop(0)  # older boundaries are never needed

    def show(self, alive: int, stats: Statistics) -> None:
        """Moves the bar."""
        completed, order, is_own = self.counts.completed, self.job.order, self.job.body is not None
        self.console.update(
            Status(
                done=order.samples_before(completed) if not is_own else self._updates(stats, completed),
                total=self.job.config.updates if is_own else order.samples_before(self.job.total_tickets),
                unit="updates" if is_own else "samples",
                epoch=None if is_own else completed / order.tickets_per_epoch,
                loss=stats.mean_loss_since(self.lines.last),
                score=self.score.value if self.score else None,
                metric=self.job.data.monitored,
                samples_per_s=(stats.samples - self._start.samples) / max(time.monotonic() - self.began, 1e-9),
                delay_mean=stats.delay_mean,
                delay_p95=stats.delay_quantile(0.95),
                lr=self.counts.lr,
                edge=self.edge.ratio,
                workers_alive=alive,
                **self.beside,
            )
        )

    def _updates(self, stats: Statistics, completed: int) -> int:
        """Those of the run so far; of several boxes, as the tickets tell."""
        return stats.version if self.job.boxes == 1 else completed

    def evaluated(self, state: State, score: Score, metrics: Mapping[str, float], began: float) -> None:
        """Writes an event of kind eval, with those metrics. `began`: time.monotonic() at its beginning."""
        self.score = score
        samples = self.counts.samples_of(state)
        epoch = {"epoch": samples / self.job.order.samples} if self.job.body is None else {}
        facts = {"samples": samples, **epoch, "updates": state.version, "lr": self.counts.lr_of(state)}
        self.journal.event("eval", **facts, **metrics, **self.journal.took(began))

    def tested(self, state: State, score: Score) -> None:
        """The last state on the test set, of a run that was evaluated on a validation set."""
        self.journal.event("test", samples=self.counts.samples_of(state), updates=state.version, **score.fields())

    def passed_gate(self, why: Sequence[str], closed: float, drained: float) -> None:
        """Reports that the gate, which was closed for these things, is open again. Times of the journal's clock."""
        opened = self.journal.elapsed_s()
        self.journal.event("gate", why=list(why), closed=closed, drained=drained, opened=opened)

    def fault(self, reason: str, line: str, *, worker: int | None = None, quietly: bool = False, **facts: Any) -> None:
        """Writes an event of kind fault and prints a warning, unless `quietly`. `worker`: None if it is of no one."""
        self.faults += 1
        facts = {"reason": reason, "worker": worker, "message": line, **facts}
        self.journal.event("fault", **facts)
        self.hear(facts)
        if not quietly:
            self.console.warn(line)

    def fault_ended(self, reason: str, line: str, worker: int) -> None:
        """Writes that a fault is over. It is counted and told to callbacks at its beginning alone."""
        self.journal.event("fault", reason=reason, worker=worker, message=line, ended=True)
        self.console.info(line)

    def ended_as(self, exit_reason: str) -> None:
        """The last event of the run, or of this part of it."""
        self.journal.event("run", event="ended", exit_reason=exit_reason)

    def of_loops(self, *, has_trained: bool) -> str | None:
        """A line, if the caller's own loops made no updates, or ended before the last one without being stopped."""
        if self.job.body is None:
            return None
        if not has_trained:
            return "0 updates: call worker.step(loss) instead of loss.backward() and optimizer.step()"
        tickets = self.counts.tickets
        made, wanted = tickets.next, tickets.total
        if not self.job.config.updates or made >= wanted or tickets.stopping:
            return None
        return f"the loops returned after {made:,} of {wanted:,} updates: let them go on until worker.should_stop"

    def summary(self, score: Score | None, tested: Score | None = None) -> dict[str, Any]:
        """The keys of summary.json; also writes each worker's closing event. `tested`: on the test set, if `score` is
        not.
        """
        stats = Statistics.of(self.world)
        for line in self._silent.warnings(stats):
            self.console.warn(line)
        if (remark := self.job.algorithm.remark([worker["pushes"] for worker in stats.workers])) is not None:
            self.console.warn(remark)
        if self.lines.last is not None:
            self.timeline.drain()
            self.lines.write(stats)
        for rank in range(self.world.workers):
            self.journal.event("worker", event="ended", **stats.worker_line(rank))
        config, wall_s = self.job.config, max(self.ended - self.began, 1e-9)
        return {
            "algorithm": config.algorithm,
            "data": config.data,
            "model": config.model,
            "workers": config.workers,
            **self.world.arena.facts,
            **({"mps": system.mps_running()} if self.world.arena.device.type == "cuda" else {}),
            "access": config.access,
            "lr": config.lr,
            "batch_size": config.batch_size,
            **({"accumulate": config.accumulate} if config.accumulate > 1 else {}),
            "seed": config.seed,
            "updates": stats.version,
            "samples": self.counts.samples,
            "wall_s": wall_s,
            "samples_per_s": (stats.samples - self._start.samples) / wall_s,
            "train_loss": self._last_epoch_loss(stats),
            **(score.fields() if score else {}),
            **(tested.fields() if tested else {}),
            "delay": stats.delay_summary(),
            "delay_histogram": stats.delay_histogram(),
            "gap_rms": stats.gap_rms,
            "gap_histogram": stats.gap_histogram(),
            "step_rms": stats.step_rms,
            **self.lines.step_per_lr(stats, None),
            "refused": stats.refused,
            "dropped": stats.dropped,
            **({"chunks_averaged": stats.averaged, "chunks_skipped": stats.skipped} if stats.averaged else {}),
            **({"batches_taken_over": stats.overtook} if stats.overtook else {}),
            **({"metrics": self.lines.metrics} if self.lines.metrics else {}),
            "faults": self.faults,
            **({"timeline_lost": self.timeline.lost} if self.timeline.lost else {}),
            **self.edge.summary(max(time.monotonic() - self.began, 1e-9)),
            "parameters": self.world.parameters,
            **tables.summary(self.world),
            "exit_reason": DONE,
        }

    def _last_epoch_loss(self, stats: Statistics) -> float:
        """Mean loss of about the last epoch's gradients: since the newest epoch boundary that is at least one epoch
        ago, or since this part of the run began.
        """
        wanted = self.counts.completed - self.job.order.tickets_per_epoch
        passed = [earlier for completed, earlier in self._epochs if completed <= wanted]
        loss = stats.mean_loss_since(passed[-1] if passed else self._start)
        return loss if math.isfinite(loss) else stats.mean_loss_since(self._start)
