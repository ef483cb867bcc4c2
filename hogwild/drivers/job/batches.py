"""Maps tickets to batches. Tickets number the gradients of a run, 0, 1, 2, ..., over all epochs and workers. They
determine the learning rate, the end of the run and the count of samples.

Without --shard the ticket also names the batch: an epoch is one pass over the data by all workers together, and the
same seed gives the same batches in the same order of tickets, for any number of workers and any assignment of tickets.

With --shard a ticket only permits the worker to take the next batch of its own part: its batches 0, 1, ... are the
same, independently of the other workers. The number of a batch is the count of tickets that this worker has completed.
It is not the count of pushes: a gradient that is refused or dropped also consumes its batch, and each algorithm defines
for itself what counts as a push. The count is in shared memory, where a replacement worker finds it, and in
checkpoints; an interrupted ticket does not change it. A lost worker's tickets are assigned to other workers, which take
batches of their own parts, so the part of a worker that is not replaced is no longer used. Batches of parts are always
full: an epoch, len(train) samples by all workers together, is then a fixed number of tickets for every interleaving.

Everything random about a batch (augmentation, dropout) belongs to its ticket, or to the worker and its number.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hogwild.drivers.job.passes import Passes
from hogwild.errors import UsageError
from hogwild.shared.seeds import mixed, seed_batch
from hogwild.tasks.classes import class_numbers
from hogwild.tasks.sharding import needs_classes, parts
from hogwild.tasks.splits.stream import StreamSplit

if TYPE_CHECKING:
    from hogwild.config import Config
    from hogwild.tasks.data import Data


TICKETS_LIMIT = 10**15


class Batches(ABC):
    """The batches of a run, by ticket."""

    samples: int  # that one epoch passes over
    left_out: int = 0  # of the training set, by each epoch
    smallest: int  # samples of the smallest batch

    @property
    @abstractmethod
    def tickets_per_epoch(self) -> float:
        """Tickets in one epoch: a whole number if an epoch is one pass over the data."""

    @abstractmethod
    def begin(self, ticket: int, rank: int, completed: int) -> Tensor:
        """Sample numbers [b] int64 of the batch for `ticket`, taken by worker `rank` after `completed` completed
        tickets.

        Mutates: torch's default generator, which is set to the state that belongs to this batch.
        """

    @abstractmethod
    def samples_before(self, ticket: int) -> int:
        """The number of samples in the tickets below `ticket`."""

    @abstractmethod
    def tickets_for(self, samples: int) -> int:
        """The smallest number of tickets with at least `samples` samples."""

    def total_tickets(self, config: Config, updates_take: int) -> int:
        """Tickets of a run limited by epochs, samples or updates (one update takes `updates_take` tickets)."""
        if config.updates is not None:
            total: float = config.updates * updates_take
        elif config.samples is not None:
            total = self.tickets_for(min(config.samples, TICKETS_LIMIT * config.gradient_samples))
        else:
            assert config.epochs is not None, "a Config always has one limit"
            total = max(1.0, config.epochs * self.tickets_per_epoch)
        if total >= TICKETS_LIMIT:
            raise UsageError(f"a run of {total:.3g} gradients never ends: at most {TICKETS_LIMIT:.0e} are counted")
        return round(total)


@dataclass
class BatchOrder(Batches):
    """Batches of the whole set without replacement; the last one of an epoch (of a class) may be smaller, and is left
    out if it has fewer than `least` samples.
    """

    size: int  # of the training set
    batch_size: int
    seed: int
    order: str = "shuffled"
    classes: Tensor | None = None  # of every sample [size], unless shuffled
    least: int = 1

    def __post_init__(self) -> None:
        part = torch.arange(self.size)
        self._passes = passes = Passes(part, self.batch_size, self.seed, self.order, self.classes, least=self.least)
        if not len(passes):
            raise UsageError(
                f"--drop-last leaves no batch: no class has {self.batch_size} samples. Lower --batch-size, or leave it "
                "out"
            )
        self.samples, self.left_out, self.smallest = passes.samples, passes.left_out, passes.smallest

    @property
    def tickets_per_epoch(self) -> int:
        return len(self._passes)

    def indices(self, ticket: int) -> Tensor:
        """Sample numbers of the batch [b], int64."""
        return self._passes.batch(ticket)

    def begin(self, ticket: int, rank: int, completed: int) -> Tensor:  # noqa: ARG002
        seed_batch(self.seed, ticket)
        return self.indices(ticket)

    def samples_before(self, ticket: int) -> int:
        return self._passes.samples_before(ticket)

    def tickets_for(self, samples: int) -> int:
        epochs, rest = divmod(samples, self.samples)
        whole, before = epochs * len(self._passes), epochs * self.samples
        return whole + bisect_left(
            range(len(self._passes)), rest, key=lambda b: self.samples_before(whole + b) - before
        )


class FullBatches(Batches):
    """Batches of each worker's own, all of `batch_size`."""

    batch_size: int

    @property
    def tickets_per_epoch(self) -> float:
        return self.samples / self.batch_size

    def samples_before(self, ticket: int) -> int:
        return ticket * self.batch_size

    def tickets_for(self, samples: int) -> int:
        return -(-samples // self.batch_size)


@dataclass
class StreamOrder(FullBatches):
    """The next samples of each worker's part of a stream (hogwild.tasks.splits.stream)."""

    samples: int
    workers: int
    batch_size: int
    seed: int

    def __post_init__(self) -> None:
        self.smallest = self.batch_size

    def begin(self, ticket: int, rank: int, completed: int) -> Tensor:  # noqa: ARG002
        seed_batch(mixed(self.seed, rank), completed)
        return (completed * self.batch_size + torch.arange(self.batch_size)) * self.workers + rank


@dataclass
class ShardedOrder(FullBatches):
    """Batches of each worker's own part, all of `batch_size`, in repeated passes over the part (see Passes)."""

    parts: list[Tensor]  # sample numbers of each worker [m_i]
    batch_size: int
    seed: int
    order: str = "shuffled"
    classes: Tensor | None = None  # of every sample of the whole set [samples], unless shuffled

    def __post_init__(self) -> None:
        self.samples, self.smallest = sum(map(len, self.parts)), self.batch_size
        self._passes = [
            Passes(
                part,
                self.batch_size,
                mixed(self.seed, rank),
                self.order,
                None if self.classes is None else self.classes[part],
                full=True,
            )
            for rank, part in enumerate(self.parts)
        ]

    def begin(self, ticket: int, rank: int, completed: int) -> Tensor:  # noqa: ARG002
        seed_batch(mixed(self.seed, rank), completed)
        return self._passes[rank].batch(completed)


def make_batches(config: Config, data: Data, least: int = 1) -> Batches:
    """The batches that `config` asks for, without those of fewer than `least` samples, or of all but full ones where
    --drop-last is set. UsageError if the data have no classes to go by, a part is empty, or no batch is left.
    """
    size = config.gradient_samples
    least = size if config.drop_last else least
    if isinstance(data.train, StreamSplit):
        if config.shard != "none" or config.order != "shuffled":
            raise UsageError("a stream deals its own samples out, in its own order: leave shard and order out")
        return StreamOrder(len(data.train), config.workers, size, config.seed)
    samples, classes = len(data.train), None
    if needs_classes(config.shard):
        classes = class_numbers(data, f"--shard {config.shard}")
    elif config.order != "shuffled":
        classes = class_numbers(data, f"--order {config.order}")
    sorted_by = None if config.order == "shuffled" else classes
    if config.shard == "none":
        return BatchOrder(samples, size, config.seed, config.order, sorted_by, least)
    numbers = None if classes is None else classes.numpy()
    shares = parts(config.shard, samples, config.workers, config.seed, numbers)
    return ShardedOrder(list(map(torch.from_numpy, shares)), size, config.seed, config.order, sorted_by)
