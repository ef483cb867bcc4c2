"""The report of a run: the progress bar, the events of its journal, the summary. It only reads counters."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from hogwild import system
from hogwild.drivers.checkpoints.state import State
from hogwild.drivers.instruments import tables
from hogwild.drivers.instruments.edge import Edge, long_delays
from hogwild.drivers.instruments.evaluation import Score
from hogwild.drivers.instruments.silent import Silent
from hogwild.drivers.instruments.statistics import Statistics
from hogwild.drivers.job.job import Job
from hogwild.runs.console import Console, Status
from hogwild.runs.directory import DONE
from hogwild.runs.journal import Journal
from hogwild.shared.control import Tickets
from hogwild.shared.world import World

TRAIN_LINE_S = 1.0
LR_SAMPLES = 100  # of the schedule, for the mean of a part of the run
TRAIN_LINES = 200  # of a run at least, if it has as many gradients


class Report:
    """Reports one run, in processes or simulated. Times of events are those of the run's clock.

    A resumed run's counters continue from those of its checkpoint, so totals and means cover the whole run. Rates per
    second cover this part of the run only: the increase of a counter since `begin`, over the time since then.
    """

    def __init__(self, job: Job, world: World, journal: Journal, console: Console) -> None:
        self.job, self.world, self.journal, self.console = job, world, journal, console
        self.tickets: Tickets = world.control
        self._start = Statistics.of(world)  # at the start of this part of the run
        self._hot_rows = tables.HotRows(world)
        self._silent = Silent(world.workers)
        self.edge = Edge(job, journal, console, self._start)
        self.score: Score | None = None
        self.faults = 0
        self.beside: dict[str, int] = {}  # what else the bar shows
        self.metrics: dict[str, float] = {}  # of the caller's own loops: their last means
        self._sums: dict[str, tuple[float, int]] = {}
        self.hear: Callable[[dict[str, Any]], object] = lambda _fault: None  # is told each fault
        self.began = self.ended = time.monotonic()
        self._line: tuple[float, Statistics] | None = None
        self._line_at = 0  # completed tickets at the last event of kind train
        self._epochs: list[tuple[int, Statistics]] = []  # (completed tickets, counters) at epoch boundaries

    @property
    def completed(self) -> int:
        """The number of tickets with their gradient in the model; of several boxes, with those of the others before."""
        return self.tickets.number(self.tickets.next) - len(self.tickets.outstanding())

    @property
    def samples(self) -> int:
        """The number of samples with their gradient in the model; with a caller's own loop, the loop's own count."""
        if self.job.body is not None:
            return Statistics.of(self.world).samples
        return self.job.order.samples_before(self.completed)

    def samples_of(self, state: State) -> int:
        """The same for a copy."""
        order, next = self.job.counted, state.next
        others = order.samples_before(self.tickets.number(next)) - order.samples_before(next) if order else 0
        return state.samples(order) + others

    @property
    def lr(self) -> float:
        """The learning rate of the next ticket, or of the last one."""
        return self._lr_at(self.tickets.number(self.tickets.next))

    def lr_of(self, state: State) -> float:
        """The same for a copy: the workers have gone on since."""
        return self._lr_at(self.tickets.number(state.next))

    def _lr_at(self, ticket: int) -> float:
        return self.job.schedule.lr(max(0, min(ticket, self.job.total_tickets - 1)))

    def started(self, rank: int, pid: int) -> None:
        """Reports that a worker process has started and joined the run."""
        self.journal.event("worker", event="started", worker=rank, pid=pid)

    def begin(self) -> None:
        """The workers start now."""
        self.began = self.ended = time.monotonic()
        self._start = Statistics.of(self.world)
        self._line = (self.journal.elapsed_s(), self._start)

    def finished(self, at: float) -> None:
        """A worker reported that it made its last update at that time (time.monotonic)."""
        self.ended = max(self.ended, at)

    def tick(self, alive: int) -> None:
        """One turn of the trainer's loop: moves the bar, and writes an event of kind train every second or oftener."""
        stats = Statistics.of(self.world)
        self.mark_epoch(stats)
        if self._line is None:
            return
        self.show(alive, stats)
        if self.journal.elapsed_s() - self._line[0] >= TRAIN_LINE_S or self.is_train_line_due(self.completed):
            self.train_line(stats)

    def is_train_line_due(self, completed: int) -> bool:
        """Whether a two-hundredth of the run's gradients has come since the last event of kind train."""
        return self.job.body is None and completed - self._line_at >= max(1, self.job.total_tickets // TRAIN_LINES)

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
        completed, per_epoch = self.completed, self.job.order.tickets_per_epoch
        if completed // per_epoch > (self._epochs[-1][0] // per_epoch if self._epochs else 0):
            if not self._epochs and (line := long_delays(self.job, stats.delay_mean)) is not None:
                self.console.warn(line)
            self._epochs.append((completed, stats))
            while len(self._epochs) > 1 and self._epochs[1][0] <= completed - per_epoch:
                self._epochs.pop(0)  # older boundaries are never needed

    def show(self, alive: int, stats: Statistics) -> None:
        """Moves the bar."""
        earlier = self._line[1] if self._line else None
        completed, order, is_own = self.completed, self.job.order, self.job.body is not None
        self.console.update(
            Status(
                done=stats.version if is_own else order.samples_before(completed),
                total=self.job.config.updates if is_own else order.samples_before(self.job.total_tickets),
                unit="updates" if is_own else "samples",
                epoch=None if is_own else completed / order.tickets_per_epoch,
                loss=stats.mean_loss_since(earlier),
                score=self.score.value if self.score else None,
                metric=self.job.data.monitored,
                samples_per_s=(stats.samples - self._start.samples) / max(time.monotonic() - self.began, 1e-9),
                delay_mean=stats.delay_mean,
                delay_p95=stats.delay_quantile(0.95),
                lr=self.lr,
                edge=self.edge.ratio,
                workers_alive=alive,
                **self.beside,
            )
        )

    def train_line(self, stats: Statistics) -> None:
        """Writes an event of kind train, about the time since the last one."""
        now = self.journal.elapsed_s()
        since, earlier = self._line or (now, None)
        samples = stats.samples - (earlier.samples if earlier else 0)
        if earlier is not None and (stats.version, samples) == (earlier.version, 0) and not self._sums:
            return  # no news
        if self._sums:
            self.metrics |= {name: total / count for name, (total, count) in self._sums.items()}
        self.journal.event(
            "train",
            samples=self.samples,
            updates=stats.version,
            train_loss=stats.mean_loss_since(earlier),
            samples_per_s=samples / (now - since) if now > since else None,
            delay=stats.delay_summary(),
            gap_rms=stats.gap_rms,
            step_rms=stats.step_rms,
            **self._step_per_lr(stats, earlier),
            refused=stats.refused,
            dropped=stats.dropped,
            lr=self.lr,
            **{name: self.metrics[name] for name in self._sums},
        )
        self._sums = {}
        self._line, self._line_at = (now, stats), self.completed

    def add_metrics(self, sums: Mapping[str, tuple[float, int]]) -> None:
        """Numbers of the caller's own loops: their sums and counts since the last call."""
        for name, (total, count) in sums.items():
            before = self._sums.get(name, (0.0, 0))
            self._sums[name] = before[0] + total, before[1] + count

    def evaluated(self, state: State, score: Score, metrics: Mapping[str, float]) -> None:
        """Writes an event of kind eval, with those metrics."""
        self.score = score
        samples = self.samples_of(state)
        epoch = {"epoch": samples / self.job.order.samples} if self.job.body is None else {}
        self.journal.event("eval", samples=samples, **epoch, updates=state.version, lr=self.lr_of(state), **metrics)

    def tested(self, state: State, score: Score) -> None:
        """The last state on the test set, of a run that was evaluated on a validation set."""
        self.journal.event("test", samples=self.samples_of(state), updates=state.version, **score.fields())

    def fault(self, reason: str, line: str, *, quietly: bool = False, **facts: Any) -> None:
        """Writes an event of kind fault and prints a warning, unless `quietly`."""
        self.faults += 1
        self.journal.event("fault", reason=reason, message=line, **facts)
        self.hear({"reason": reason, "message": line, **facts})
        if not quietly:
            self.console.warn(line)

    def of_loops(self, *, has_trained: bool) -> str | None:
        """A line, if the caller's own loops made no updates, or ended before the last one without being stopped."""
        if self.job.body is None:
            return None
        if not has_trained:
            return "0 updates: call worker.step(loss) instead of loss.backward() and optimizer.step()"
        made, wanted = self.tickets.next, self.tickets.total
        if not self.job.config.updates or made >= wanted or self.tickets.stopping:
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
        if self._line is not None:
            self.train_line(stats)
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
            "samples": self.samples,
            "wall_s": wall_s,
            "samples_per_s": (stats.samples - self._start.samples) / wall_s,
            "train_loss": self._last_epoch_loss(stats),
            **(score.fields() if score else {}),
            **(tested.fields() if tested else {}),
            "delay": stats.delay_summary(),
            "delay_histogram": stats.delay_histogram(),
            "gap_rms": stats.gap_rms,
            "step_rms": stats.step_rms,
            **self._step_per_lr(stats, None),
            "refused": stats.refused,
            "dropped": stats.dropped,
            **({"chunks_averaged": stats.averaged, "chunks_skipped": stats.skipped} if stats.averaged else {}),
            **({"metrics": self.metrics} if self.metrics else {}),
            "faults": self.faults,
            **self.edge.summary(max(time.monotonic() - self.began, 1e-9)),
            "parameters": self.world.parameters,
            **tables.summary(self.world),
            "exit_reason": DONE,
        }

    def _step_per_lr(self, stats: Statistics, earlier: Statistics | None) -> dict[str, float]:
        """{step_per_lr: rms of the steps since `earlier`, over that of the schedule's lr}; {} if the rule is not
        adaptive, or nothing was pushed.
        """
        if self.job.algorithm.adaptive() is None:
            return {}
        since = earlier.version if earlier else 0
        count = min(stats.version - since, LR_SAMPLES)
        rates = [self._lr_at(since + (stats.version - since) * k // count) for k in range(count)]
        lr, step = math.hypot(*rates) / math.sqrt(max(count, 1)), stats.step_rms_since(earlier)
        return {"step_per_lr": step / lr} if lr > 0 and math.isfinite(step) else {}

    def _last_epoch_loss(self, stats: Statistics) -> float:
        """Mean loss of about the last epoch's gradients: since the newest epoch boundary that is at least one epoch
        ago, or since this part of the run began.
        """
        wanted = self.completed - self.job.order.tickets_per_epoch
        passed = [earlier for completed, earlier in self._epochs if completed <= wanted]
        loss = stats.mean_loss_since(passed[-1] if passed else self._start)
        return loss if math.isfinite(loss) else stats.mean_loss_since(self._start)
