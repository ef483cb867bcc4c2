"""Passes over a part of the training set, in one of the orders of --order, cut into batches."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import accumulate

import torch
from torch import Tensor

from hogwild.shared.seeds import mixed


@dataclass
class Passes:
    """Repeated passes over the samples `part` [m] int64. The random order of a pass depends on its number.

        shuffled        all samples at random
        sorted          by class, at random within a class
        single-class    every batch from one class, batches at random; the rest of a class is a smaller batch

    `classes` [m]: of the samples of the part, for the last two. A pass uses every sample once, and its last batch (of
    each class) may be smaller; one of fewer than `least` samples is left out, so that a pass misses these samples,
    others each time where they are shuffled. If `full`, that batch is filled up with samples that the pass (the class)
    has had just before, or with all of them over and over where there are fewer than `batch_size`.
    """

    part: Tensor
    batch_size: int
    seed: int
    order: str = "shuffled"
    classes: Tensor | None = None
    full: bool = False
    least: int = 1
    left_out: int = field(init=False)  # samples that each pass misses
    smallest: int = field(init=False)  # samples of the smallest batch
    _pass: int = field(default=-1, repr=False)
    _samples: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int64), repr=False)

    def __post_init__(self) -> None:
        groups = [len(self.part)]
        if self.order != "shuffled":
            assert self.classes is not None, f"order {self.order} needs the classes"
        if self.order == "single-class":
            groups = torch.unique(self.classes, return_counts=True)[1].tolist()
        rests = [size % self.batch_size for size in groups]
        kept = [rest > 0 and (self.full or rest >= self.least) for rest in rests]
        self.left_out = sum(rest for rest, is_kept in zip(rests, kept, strict=True) if not is_kept)
        short = [] if self.full else [rest for rest, is_kept in zip(rests, kept, strict=True) if is_kept]
        self.smallest = min(short, default=self.batch_size)
        self._first = [0, *accumulate(groups)]
        self._batches = [0, *accumulate(size // self.batch_size + k for size, k in zip(groups, kept, strict=True))]

    def __len__(self) -> int:
        """Batches in a pass."""
        return self._batches[-1]

    @property
    def samples(self) -> int:
        """Samples that a pass uses once each."""
        return len(self.part) - self.left_out

    def batch(self, number: int) -> Tensor:
        """Sample numbers of batch `number`, counted over all passes: [batch_size] or fewer, int64."""
        turn, place = divmod(number, len(self))
        if turn != self._pass:
            self._samples, self._pass = self._shuffle(turn), turn
        first, start, stop = self._span(int(self._turns(turn)[place]) if self.order == "single-class" else place)
        if start >= first:
            return self._samples[start:stop]
        return self._samples[first:stop][torch.arange(start - first, stop - first) % (stop - first)]

    def samples_before(self, number: int) -> int:
        """The number of samples in the batches below `number`, counted over all passes."""
        turn, place = divmod(number, len(self))
        if self.full:
            return number * self.batch_size
        if self.order == "single-class":
            spans = map(self._span, self._turns(turn)[:place].tolist())
            return turn * self.samples + sum(stop - start for _, start, stop in spans)
        return turn * self.samples + place * self.batch_size

    def _span(self, place: int) -> tuple[int, int, int]:
        """The place of a batch's samples in the pass, before the batches are shuffled: (first sample of its class,
        start, stop). If start is below the first one, it wraps around to the end.
        """
        group = bisect_right(self._batches, place) - 1
        first, last = self._first[group], self._first[group + 1]
        start = first + (place - self._batches[group]) * self.batch_size
        stop = min(start + self.batch_size, last)
        return first, stop - self.batch_size if self.full else start, stop

    def _shuffle(self, turn: int) -> Tensor:
        permutation = torch.randperm(len(self.part), generator=_generator(mixed(self.seed, -1 - turn)))
        if self.order != "shuffled":
            assert self.classes is not None
            permutation = permutation[torch.argsort(self.classes[permutation], stable=True)]
        return self.part[permutation]

    def _turns(self, turn: int) -> Tensor:
        """The order of the single-class batches; computed without the order of the samples."""
        return torch.randperm(len(self), generator=_generator(mixed(mixed(self.seed, -1 - turn), 0)))


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
