"""The driver of a box: the process driver, with a courier beside the workers and leases of tickets."""

from __future__ import annotations

import hashlib
import json
import os
import time
from dataclasses import replace
from typing import Any

import torch

from hogwild.boxes.handle import CourierHandle
from hogwild.boxes.header import FORMAT, Facts
from hogwild.boxes.leases import Leases
from hogwild.boxes.memory import BoxMemory
from hogwild.boxes.outer import outer_world
from hogwild.boxes.part import boxes_of, incarnation_of
from hogwild.boxes.summary import publish, summed
from hogwild.boxes.wire import WIRES
from hogwild.config import FIELDS, LIMITS, Config
from hogwild.config.between import PAIRS, outer, require_boxes
from hogwild.drivers.instruments.statistics import Statistics
from hogwild.drivers.job.batches import StreamOrder
from hogwild.drivers.job.job import Job
from hogwild.drivers.processes.trainer import TICK_S, Trainer
from hogwild.errors import DivergedError, TooFewWorkersError, UsageError
from hogwild.files.writing import write_atomically
from hogwild.runs.console import Console
from hogwild.runs.directory import RunDirectory
from hogwild.runs.files import to_json
from hogwild.shared.placement import Placement
from hogwild.shared.world import World

LINE_S = 1.0
SAME = ("data", "model", "algorithm")  # groups of options that all boxes must have alike
FREE = ("data_dir", "init_from", "warmup_from")  # but these
FAULTS = {
    "lost": ("link_lost", "the link to box {} is cut: {}"),
    "joined": ("box_joined", "box {} has joined"),
    "gone": ("box_gone", "box {} has ended early"),
}


LINKS = ("up", "joined", "lost", "left", "gone")  # what the journal says of the link to another box


class BoxTrainer(Trainer):
    """One box of a run of several."""

    guests = 1  # the courier enters the gate

    def __init__(self, job: Job, run: RunDirectory, console: Console) -> None:
        rendezvous = boxes_of(job.config)
        assert rendezvous is not None, "driver_for has chosen this driver for several boxes"
        self.rendezvous, self.box = rendezvous, rendezvous.box
        if job.config.min_boxes > rendezvous.boxes:
            raise UsageError(f"min_boxes is {job.config.min_boxes} but there are only {rendezvous.boxes} boxes")
        require_supported(job)
        super().__init__(job, run, console)
        if self.world.tables:
            raise UsageError(
                "--between does not support tables (sparse=True in an embedding) yet: use dense embeddings"
            )
        x = self.world.arena.tensor("x")
        self.memory = BoxMemory.create(self.box, rendezvous.boxes, x.numel(), x.dtype)
        wire = list(WIRES).index(self.config.between_wire)
        facts = Facts(FORMAT, rendezvous.boxes, x.numel(), wire, _hash_of(_options(job.config)), _hash_of(x))
        self.courier = CourierHandle(
            job.config, self.world, self.memory, rendezvous, facts, incarnation_of(job.config),
            run.workers / "courier.log", self._text(),
        )  # fmt: skip
        self._down_since: dict[int, float] = {}  # the boxes that have been up and are not
        self.leases = Leases(
            self.tickets, rendezvous, job.total_tickets, job.config.workers, incarnation_of(job.config),
            self.config.between_linger, self._gone,
        )  # fmt: skip
        self._has_store = True
        self.tickets.assign(0, 0, [])
        self.tickets.lease(0, 0, more=True)
        self.up: set[int] = set()
        self.joins = 0
        self._told: dict[str, tuple[Any, ...]] = {}  # the last event of each kind
        self._line_at = time.monotonic()
        self._few_since: float | None = None
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
        how = self._told.get("started", ("alone",))[0]
        if isinstance(how, int):
            self.joins = 1
            self.report.fault("box_joined", f"this box goes on with the model of box {how}")
        elif how == "alone":
            self.console.warn(f"box {self.box} starts without the others: they may join later")
        self.leases.start()
        super().start_workers()
        self.courier.command("begin")

    def meet_others(self) -> None:
        """The boxes start together, if they are ready within the time-out: else the first one would train a part of the
        run alone, and then average with the fresh model of the second.
        """
        if self._told.get("started") == ("together",):
            self._wait("ready", "ready", self.config.between_timeout)

    # ---- watching -------------------------------------------------------------------------------------------------

    def attend(self, timeout_s: float = 0.0) -> None:
        """Acts on what the courier has told, replaces one that died, and sees whether there are boxes enough."""
        for kind, *detail in self.courier.events(timeout_s):
            self._told[kind] = tuple(detail)
            if kind == "link":
                self._on_link(*detail)
            elif kind == "died":
                self.up.clear()
                self.report.fault("courier_died", f"{detail[0]}; the workers go on, the next courier starts")
        if self.leases.is_alone and self._has_store:
            self._has_store = False
            self.report.fault(
                "store_lost", "the store of torchrun is gone: this box goes on with its share of the data"
            )
        now = time.monotonic()
        self._require_boxes(now)
        if self._is_orphan() and not self.is_interrupted:
            self.console.warn("torchrun has died: ending in order")
            self.is_interrupted = True
            self.end_soon()
        self.report.beside = {"boxes": 1 + len(self.up), "exchanges": self.memory.counted("exchanges")}
        if self.courier.has_begun and now - self._line_at >= LINE_S:
            self._line_at = now
            self.report.journal.event("between", boxes=1 + len(self.up), **self.memory.totals())

    def _is_orphan(self) -> bool:
        """Whether the agent of torchrun that started this process has died."""
        return "TORCHELASTIC_RUN_ID" in os.environ and os.getppid() != self._parent

    def _gone(self) -> list[int]:
        """The boxes that have been down for longer than a link may be silent."""
        limit = time.monotonic() - self.config.between_timeout
        return [box for box, since in list(self._down_since.items()) if since < limit]

    def _on_link(self, number: int, event: str, text: str) -> None:
        if event in LINKS and self.courier.has_begun:
            self.report.journal.event("box", event=event, box=number)
        if event in ("up", "joined"):
            self.up.add(number)
            self._down_since.pop(number, None)
        elif event != "refused":
            self.up.discard(number)
            self._down_since.setdefault(number, time.monotonic())
        if event == "refused" and not self.courier.has_begun:
            self.stop(UsageError, text)
        elif event == "refused":
            self.report.fault("box_refused", text)
        elif event == "stopped":
            self.stop(DivergedError, f"box {number} has stopped: see its log")
        elif event in FAULTS and self.courier.has_begun:
            reason, line = FAULTS[event]
            self.report.fault(reason, line.format(number, text), box=number)

    def _require_boxes(self, now: float) -> None:
        """Stops the run when there have been fewer boxes than --min-boxes for longer than a link may be silent."""
        boxes = 1 + len(self.up)
        if boxes >= self.config.min_boxes or not self.courier.has_begun or self.tickets.stopping:
            self._few_since = None
        elif self._few_since is None:
            self._few_since = now
        elif now - self._few_since > self.config.between_timeout:
            self.stop(TooFewWorkersError, f"{boxes} boxes left, --min-boxes is {self.config.min_boxes}: stopping")

    # ---- ending ---------------------------------------------------------------------------------------------------

    def _end(self) -> None:
        """Serves the other boxes until they have finished too; then all take the mean of all."""
        is_early = self.tickets.stopping
        if not is_early:
            if self._has_store:
                publish(self.rendezvous, self.own_facts())
            self._wait("finish", "finished", self.config.between_linger)
        if not self.tickets.stopping and "finished" in self._told:
            self._wait("mean", "mean", 4 * self.config.between_timeout)
        self.courier.command("end", self.stopped is not None and self.stopped[0] is DivergedError)
        self.courier.__exit__()
        if "mean" in self._told and not self.tickets.stopping:
            _, self._spread = self._told["mean"]
            self.world.arena.tensor("x").copy_(self.memory.flux)

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
        return {"updates": stats.version, "samples": stats.samples, "joins": self.joins, **self.memory.totals()}

    def facts(self) -> dict[str, object]:
        config, own = self.config, self.own_facts()
        found = {"box": self.box, **own}
        if self.box == 0:
            found = summed(self.rendezvous, own)
        between = {"algorithm": config.between, "period": config.between_period, "wire": config.between_wire}
        wall_s = max(self.report.ended - self.report.began, 1e-9)
        return {
            "boxes": self.rendezvous.boxes,
            "between": between,
            **found,
            "samples_per_s": found["samples"] / wall_s,
            "spread_rms": self._spread,
        }


def require_supported(job: Job) -> None:
    """Raises UsageError for what only the job tells, and several boxes do not support yet."""
    if job.body is not None:
        raise UsageError("--between does not support loops of your own (hogwild.launch) yet: use hogwild.fit")
    if isinstance(job.order, StreamOrder):
        raise UsageError("--between does not support streams (IterableDataset) yet: use a data set that can be indexed")


def _options(config: Config) -> bytes:
    """The options that all boxes must have alike."""
    values = replace(config, resume=None).values()
    free = {name for name, field in FIELDS.items() if field.metadata["group"] not in SAME} | set(FREE)
    free -= {*LIMITS, "seed", "between", "between_options"}
    return json.dumps({name: value for name, value in values.items() if name not in free}, default=str).encode()


def _hash_of(content: bytes | torch.Tensor) -> int:
    """63 bits."""
    data = content if isinstance(content, bytes) else content.numpy().tobytes()
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little") >> 1
