"""Reads batches without the samples that cannot be read: a damaged file, a shape that does not fit the others."""

from __future__ import annotations

import contextlib
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from hogwild.drivers.job.batches import Batches
from hogwild.own_code import told
from hogwild.shared.devices import shape_of
from hogwild.shared.seeds import seed_batch
from hogwild.tasks.data import Split

TRACE_LIMIT = 4000  # characters


@dataclass(frozen=True)
class BadSample:
    """A sample that cannot be read: its number in the split, why not, in one line, and the end of the traceback, if
    there is one.
    """

    index: int
    fault: str
    trace: str = ""

    @classmethod
    def of(cls, index: int, error: Exception) -> BadSample:
        return cls(index, told(error), "".join(traceback.format_exception(error))[-TRACE_LIMIT:])


@dataclass(slots=True)
class Batch:
    """What could be read of a batch: inputs and targets of the samples `index` [b] int64; `bad` are left out of it.
    Nothing (b = 0, inputs and targets None) if too few could be read.
    """

    index: Tensor
    inputs: Any
    targets: Any
    bad: tuple[BadSample, ...] = ()

    def __len__(self) -> int:
        return self.index.shape[0]


class Reader:
    """Reads batches of `split`. If a batch cannot be read, its samples are tried one by one.

    `least`: the samples that a batch needs, 2 for a model that takes the variance of a batch.
    """

    def __init__(self, split: Split, least: int = 1) -> None:
        self.split = split
        self._least = least
        self._good: int | None = None  # a sample that fits the others

    def of_ticket(self, order: Batches, ticket: int, rank: int, completed: int) -> Batch:
        """The training batch that belongs to a ticket (Batches.begin). Its random numbers do not depend on what was
        tried before. Mutates torch's default generator.
        """
        index = order.begin(ticket, rank, completed)
        return self.read(index, train=True, again=lambda: order.begin(ticket, rank, completed))

    def in_parts(self, order: Batches, ticket: int, rank: int, completed: int, size: int) -> list[Batch]:
        """The same batch in nearly equal parts of at most `size` samples, each with random numbers of its own."""

        def begin(part: int) -> Tensor:
            index = order.begin(ticket, rank, completed)
            if part:
                seed_batch(torch.initial_seed(), part)
            return index

        index = begin(0)
        if (samples := index.shape[0]) <= size:  # len(tensor) takes five times as long
            return [self.read(index, train=True, again=partial(begin, 0))]
        found = []
        for part, numbers in enumerate(index.tensor_split(-(-samples // size))):
            begin(part)
            found.append(self.read(numbers, train=True, again=partial(begin, part)))
        return found

    def read(self, index: Tensor, *, train: bool, again: Callable[[], object] = lambda: None) -> Batch:
        """The samples `index` [b] int64 that can be read. `again` is called before what is left is read a second time;
        it resets generators of random numbers.
        """
        with contextlib.suppress(Exception):  # the user's own code runs here
            inputs, targets = self.split.batch(index, train=train)
            if self._good is None and len(index):
                self._good = int(index[0])
            return Batch(index, inputs, targets)
        return self._readable(index.tolist(), train, again)

    def _readable(self, numbers: list[int], train: bool, again: Callable[[], object]) -> Batch:
        shapes: dict[int, object] = {}  # of the samples that can be read
        bad: list[BadSample] = []
        for number in dict.fromkeys(numbers):
            try:
                shapes[number] = self._shape(number, train)
            except Exception as error:
                bad.append(BadSample.of(number, error))
        again()
        try:
            return self._joined(numbers, shapes, train, bad)
        except Exception as error:  # each can be read, but not together
            usual, together = self._usual(shapes, train), error
        odd = [number for number, shape in shapes.items() if shape != usual]
        for number in odd:
            wrong = f"it does not fit the others: it has {shapes.pop(number)}, they have {usual}"
            bad.append(BadSample(number, wrong))
        again()
        try:
            return self._joined(numbers, shapes, train, bad)
        except Exception:
            bad += [BadSample.of(number, together) for number in shapes]
            return self._joined(numbers, {}, train, bad)

    def _joined(self, numbers: list[int], good: dict[int, object], train: bool, bad: list[BadSample]) -> Batch:
        index = torch.tensor([number for number in numbers if number in good], dtype=torch.int64)
        if len(index) < max(self._least, 1):
            return Batch(index[:0], None, None, tuple(bad))
        inputs, targets = self.split.batch(index, train=train)
        return Batch(index, inputs, targets, tuple(bad))

    def _shape(self, number: int, train: bool) -> str:
        return shape_of(self.split.batch(torch.tensor([number]), train=train))

    def _usual(self, shapes: dict[int, object], train: bool) -> object:
        """The shape of a sample of an earlier batch, or the most frequent one."""
        if self._good is not None:
            try:
                return self._shape(self._good, train)
            except Exception:  # it can be read no longer
                self._good = None
        return Counter(shapes.values()).most_common(1)[0][0] if shapes else None
