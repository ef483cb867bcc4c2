"""Which samples a ticket stands for. Tickets number the batches of a run: 0, 1, 2, ... over all epochs and workers.

An epoch is one pass over the data by all workers together. Everything random about a batch belongs to its ticket, not
to the worker that happens to draw it: the same seed gives the same batches in the same order of tickets, with the same
augmentation and dropout, however many workers there are and whoever takes which.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from hogwild.config import Config

_MIX = 0x9E3779B97F4A7C15  # odd: multiplying by it permutes the 64-bit seeds
_MASK = (1 << 63) - 1


@dataclass
class BatchOrder:
    """Shuffled batches without replacement; the last one of an epoch may be smaller."""

    samples: int
    batch_size: int
    seed: int
    _epoch: int = field(default=-1, repr=False)
    _order: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int64), repr=False)

    @property
    def tickets_per_epoch(self) -> int:
        return -(-self.samples // self.batch_size)

    def indices(self, ticket: int) -> Tensor:
        """Sample numbers of the batch [b], int64."""
        epoch, batch = divmod(ticket, self.tickets_per_epoch)
        if epoch != self._epoch:
            generator = torch.Generator().manual_seed(_mixed(self.seed, -1 - epoch))
            self._order, self._epoch = torch.randperm(self.samples, generator=generator), epoch
        return self._order[batch * self.batch_size : (batch + 1) * self.batch_size]

    def samples_before(self, ticket: int) -> int:
        """How many samples the tickets below `ticket` hold."""
        epoch, batch = divmod(ticket, self.tickets_per_epoch)
        return epoch * self.samples + batch * self.batch_size

    def total_tickets(self, config: Config, updates_take: int) -> int:
        """Tickets of a run limited by epochs, samples or updates (one update takes `updates_take` tickets)."""
        if config.updates is not None:
            return config.updates * updates_take
        if config.samples is not None:
            epochs, rest = divmod(config.samples, self.samples)
            return epochs * self.tickets_per_epoch + math.ceil(rest / self.batch_size)
        assert config.epochs is not None, "a Config always has one limit"
        return max(1, round(config.epochs * self.tickets_per_epoch))


def seed_batch(seed: int, ticket: int) -> None:
    """Sets torch's default generator to the state that belongs to this batch (augmentation, dropout)."""
    torch.default_generator.manual_seed(_mixed(seed, ticket))


def draw(seed: int, rank: int, step: int, count: int) -> int:
    """A worker's own random choice among `count`, the same for the same seed, rank and step of the worker."""
    number = _mixed(_mixed(seed, rank), step)
    number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    return ((number ^ number >> 27) * 0x94D049BB133111EB & _MASK) % count


def _mixed(seed: int, number: int) -> int:
    return ((seed + 1) * _MIX + number * 0xD1B54A32D192ED03) & _MASK
