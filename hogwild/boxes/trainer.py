"""The driver of a box: the process driver, with a courier beside the workers and leases of tickets."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import Any

import torch

from hogwild.boxes import normalization
from hogwild.boxes.facts import facts_of, hash_of, require_dense, require_supported
from hogwild.boxes.handle import CourierHandle
from hogwild.boxes.kept import Kept
from hogwild.boxes.leases import Leases, publish_made
from hogwild.boxes.made import Made
from hogwild.boxes.memory import BoxMemory
from hogwild.boxes.others import Others
from hogwild.boxes.outer import outer_world
from hogwild.boxes.part import boxes_of, incarnation_of
from hogwild.boxes.summary import publish, summed
from hogwild.config.between import PAIRS, outer, require_boxes
from hogwild.drivers.checkpoints.state import State
from hogwild.drivers.instruments.statistics import Statistics
from hogwild.drivers.job.job import Job
from hogwild.drivers.processes.trainer import TICK_S, Trainer
from hogwild.errors import DivergedError, UsageError
from hogwild.files.writing import write_atomically
from hogwild.runs.console import Console
from hogwild.runs.directory import RunDirectory
from hogwild.runs.files import to_json
from hogwild.shared.control import Tickets
from hogwild.shared.placement import Placement
from hogwild.shared.world import World

LINE_S = 1.0


class BoxTrainer(Trainer):
    """One box of a run of several."""

    guests = 1  # the courier enters the gate

    def __init__(self, job: Job, run: RunDirectory, console: Console) -> None:
        rendezvous = boxes_of(job.config)
        assert rendezvous is not None, "driver_for has chosen this driver for several boxes"
        rendezvous = replace(rendezvous, patience_s=min(rendezvous.patience_s, job.config.between_timeout))
        self.rendezvous, self.box = rendezvous, rendezvous.box
        incarnation = incarnation_of(rendezvous)
        if job.config.min_boxes > rendezvous.boxes:
            raise UsageError(f"min_boxes is {job.config.min_boxes} but there are only {rendezvous.boxes} boxes")
        require_supported(job)
        super().__init__(replace(job, box=self.box, boxes=rendezvous.boxes), run, console)
        require_dense(self.world)
        x = self.world.arena.tensor("x")
        statistics = normalization.elements(self.module)
        self.memory = BoxMemory.create(self.box, rendezvous.boxes, x.numel(), x.dtype, statistics)
        self.text = self._text()
        kept = Kept.from_plain(self.saved.box) if self.saved else None
        if kept is not None:
            kept.write_to(self.memory, self.text)
            publish_made(rendezvous, Made.of(kept.made))
        self.start = kept.start if kept else hash_of(x)  # of the run
        self.joins = kept.joins if kept else 0
        self._samples_before = Statistics.of(self.world).samples
        facts = facts_of(job.config, rendezvous.boxes, x.numel(), self.start)
        self.courier = CourierHandle(
            job.config, self.world, self.memory, rendezvous, facts, incarnation, run.workers / "courier.log",
            self.text, is_resumed=kept is not None,
        )  # fmt: skip
        self.others = Others(self, self.courier)
        self.leases = Leases(
            self.tickets, rendezvous, job.total_tickets, job.config.workers, incarnation, self.config.between_linger,
            self.others.gone, Made.of(kept.made if kept else ()),
        )  # fmt: skip
        self._has_store = True
        self._told: dict[str, tuple[Any, ...]] = {}  # the last event of each kind
        self._line_at, self._sent = time.monotonic(), self.memory.counted("bytes_sent")
        self._parent = os.getppid()
        self._spread: float | None = None

    def _text(self) -> World | None:
        """The world of the text between the boxes; None for pairs."""
        if self.config.between == PAIRS:
            return None
        assert self.config.between is not None, "several boxes train together in some way"
        algorithm, boxes = outer(self.config.between, self.config.between_options), self.rendezvous.boxes
        require_boxes(self.config.between, algorithm, boxes)
        return outer_world(self.module, algorithm, boxes, self.world.layout.dtype)

    def assign(self, tickets: Tickets) -> None:
        """None yet. Those that a checkpoint has are completed; what was in a worker's hand is leased again."""
        before = self.saved.next - len(self.saved.again) if self.saved else 0
        tickets.assign(before, before, [])
        tickets.lease(0, 0, more=True)

    def place(self) -> torch.device | Placement:
        place = super().place()
        if not isinstance(place, torch.device) or place.type != "cpu":
            raise UsageError("--between does not support GPUs yet: add --device cpu")
        return place

    def run(self) -> dict[str, object]:
        summary = super().run()
        if self.box == 0:
            write_atomically(self.directory.path.parent / "summary.json", to_json(summary, indent=2) + "\n")
        return summary

    def train(self) -> None:
        with self.courier:
            super().train()
            self._end()

    def start_workers(self) -> None:
        """After the other boxes are there, or the model of one of them has been taken."""
        while "started" not in self._told and not self.tickets.stopping:
            self.attend(TICK_S)
        how, source = self._told.get("started", ("alone", None))
        if source is not None:
            self.joins += 1
            self.report.fault("box_joined", f"this box goes on with the model of box {source}")
        elif self.config.resume is not None and self.saved is None:
            run = self.directory.path.parent
            self.stop(UsageError, f"no box that is here has a checkpoint of {run}: start the run without --resume")
        if how == "alone" and self.rendezvous.boxes > 1:
            self.console.warn(f"box {self.box} starts without the others: they may join later")
        self.leases.joins = source is not None
        self.leases.start()
        super().start_workers()
        self.courier.command("begin")

    def meet_others(self) -> None:
        """The boxes start together, if they are ready within the time-out: else the first one would train a part of the
        run alone, and then average with the fresh model of the second.
        """
        if self._told.get("started", ("alone",))[0] == "together":
            self._wait("ready", "ready", self.config.between_timeout)

    # ---- watching -------------------------------------------------------------------------------------------------

    def attend(self, timeout_s: float = 0.0) -> None:
        """Acts on what the courier has told, replaces one that died, and sees whether there are boxes enough."""
        for kind, *detail in self.courier.events(timeout_s):
            self._told[kind] = tuple(detail)
            if kind == "link":
                self.others.on_link(*detail)
            elif kind == "died":
                self.others.courier_died(*detail)
        if self.leases.is_alone and self._has_store:
            self._has_store = False
            self.report.fault(
                "store_lost", "the store of torchrun is gone: this box goes on with its share of the data"
            )
        self.others.require_enough()
        if self._is_orphan() and not self.is_interrupted:
            self.console.warn("torchrun has died: ending in order")
            self.is_interrupted = True
            self.end_soon()
        self._show()

    def _show(self) -> None:
        """A line of kind `between` every second, and what the bar shows."""
        memory, now = self.memory, time.monotonic()
        self.report.beside |= {"boxes": self.others.boxes, "exchanges": memory.counted("exchanges")}
        if not self.courier.has_begun or now - self._line_at < LINE_S:
            return
        totals = memory.totals()
        sent_per_s = (totals["bytes_sent"] - self._sent) / (now - self._line_at)
        self._line_at, self._sent = now, totals["bytes_sent"]
        lag = totals["lag"]["mean"] if self.text is None and totals["exchanges"] else None
        self.report.beside |= {"lag": lag, "sent_per_s": sent_per_s}
        self.report.journal.event("between", boxes=self.others.boxes, sent_per_s=sent_per_s, **totals)

    def _is_orphan(self) -> bool:
        """Whether the agent of torchrun that started this process has died."""
        return "TORCHELASTIC_RUN_ID" in os.environ and os.getppid() != self._parent

    def copy(self) -> State:
        """The state of this box, and what it keeps beside its model."""
        state = super().copy()
        made = self.leases.made(state.next, state.again)
        return replace(state, box=Kept.of(self.start, made, self.joins, self.memory, self.text).plain())

    # ---- ending ---------------------------------------------------------------------------------------------------

    def _end(self) -> None:
        """Serves the other boxes until they have finished too; then all take the mean of all."""
        if not self.tickets.stopping:
            self.leases.give_up()
            if self._has_store:
                publish(self.rendezvous, self.own_facts())
            self._gather_statistics()
            self._wait("finish", "finished", self.config.between_linger)
        if not self.tickets.stopping and "finished" in self._told:
            self._wait("mean", "mean", 4 * self.config.between_timeout)
        self.courier.command("end", self.stopped is not None and self.stopped[0] is DivergedError)
        self.courier.__exit__()
        if "mean" in self._told and not self.tickets.stopping:
            boxes, self._spread = self._told["mean"]
            self.world.arena.tensor("x").copy_(self.memory.flux)
            if normalization.elements(self.module):
                normalization.spread(self.world, self.module, [self.memory.statistics(box) for box in boxes])

    def _gather_statistics(self) -> None:
        if normalization.elements(self.module):
            ranks = [rank for rank in range(self.world.workers) if rank not in self.lost]
            own = normalization.gathered(self.world, self.module, ranks or range(self.world.workers))
            self.memory.statistics(self.box).copy_(own)

    def _wait(self, command: str, event: str, patience_s: float) -> None:
        self._told.pop(event, None)
        self.courier.command(command)
        deadline = time.monotonic() + patience_s
        while event not in self._told and not self.tickets.stopping and time.monotonic() < deadline:
            self._told.pop("died", None)
            self.attend(TICK_S)
            if "died" in self._told:  # its successor does not know the command
                self.courier.command(command)

    def own_facts(self) -> dict[str, Any]:
        """What this box contributes to the summary of all."""
        stats = Statistics.of(self.world)
        now = stats.samples - self._samples_before  # since it was resumed
        facts = {"updates": stats.version, "samples": stats.samples, "samples_now": now, "joins": self.joins}
        return {**facts, **self.memory.totals()}

    def facts(self) -> dict[str, object]:
        config, own = self.config, self.own_facts()
        found = {"box": self.box, **own}
        if self.box == 0:
            found = summed(self.rendezvous, own, has_store=self._has_store)
        samples_now = found.pop("samples_now")
        between = {"algorithm": config.between, "period": config.between_period, "wire": config.between_wire}
        wall_s = max(self.report.ended - self.report.began, 1e-9)
        return {
            "boxes": self.rendezvous.boxes,
            "between": between,
            **found,
            "samples_per_s": samples_now / wall_s,
            "spread_rms": self._spread,
        }
