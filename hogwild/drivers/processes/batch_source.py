"""Where a worker's batches come from: its own reading, or the slots of the loaders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from hogwild.drivers.job.job import Job
from hogwild.drivers.job.samples import BadSample, Batch, Reader
from hogwild.drivers.processes.slots import Slots
from hogwild.shared.control import Tickets
from hogwild.shared.devices import to_device


@dataclass(slots=True)
class GradientBatch:
    """The batch of one gradient on the worker's device: its parts (inputs, targets, samples), and what is bad."""

    parts: list[tuple[Any, Any, int]]
    samples: int
    bad: tuple[BadSample, ...]


class BatchSource:
    """The batches of worker `rank`, by ticket. A batch that no loader has made ready is read here.

    `place`: the device and the type of floating point numbers. `pulse` is called now and then while the worker waits
    for a loader.
    """

    def __init__(
        self, job: Job, reader: Reader, tickets: Tickets, rank: int, place: tuple[torch.device, torch.dtype],
        slots: Slots | None, pulse: Callable[[], object],
    ) -> None:  # fmt: skip
        self._order, self._size = job.order, job.config.batch_size
        self._reader, self._tickets, self._rank, self._place = reader, tickets, rank, place
        self._slots, self._pulse = slots, pulse

    def of_ticket(self, ticket: int) -> GradientBatch:
        """Sets the global random generators to the state that belongs to the batch."""
        parts: list[tuple[Any, Any, int]] = []
        samples, bad = 0, tuple[BadSample, ...]()
        for part in self._read(ticket):
            bad += part.bad
            if count := len(part):
                samples += count
                parts.append((*to_device((part.inputs, part.targets), *self._place), count))
        return GradientBatch(parts, samples, bad)

    def full(self) -> tuple[Any, Any] | None:
        """Inputs and targets of the first batch, filled up to --batch-size samples; None if it cannot be read."""
        first = self._reader.of_ticket(self._order, 0, self._rank, 0).index
        if not len(first):
            return None
        batch = self._reader.read(first[torch.arange(self._size) % len(first)], train=True)
        inputs, targets = to_device((batch.inputs, batch.targets), *self._place)
        return inputs, targets

    def _read(self, ticket: int) -> list[Batch]:
        """The batch in parts of at most --batch-size samples."""
        completed, number = self._tickets.completed(self._rank), self._tickets.number(ticket)
        if self._slots is not None and (found := self._slots.read(ticket, self._pulse)) is not None:
            self._reader.seed(self._order, number, self._rank, completed, len(found.parts))
            if found.states is not None:
                found.states.set()
            return list(found.parts)
        return self._reader.in_parts(self._order, number, self._rank, completed, self._size)
