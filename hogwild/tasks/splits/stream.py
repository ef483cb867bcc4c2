"""A torch IterableDataset: each worker reads a part of the stream, in order, over and over.

Number i of the split is sample i // workers of worker i % workers. A worker's part is dataset.shard(num_shards=workers,
index=rank) if the data set has such a method, as those of Hugging Face have; else every workers-th sample, for which
each worker reads the whole stream. At its end a part begins anew. Numbers below those that were read last are found by
reading from the beginning: after a resume, and in a worker that takes the place of a lost one.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from hogwild.errors import DataError
from hogwild.shared.seeds import Generators, mixed
from hogwild.tasks.data import Split
from hogwild.tasks.splits.dataset import Collate, join

KEPT = 4096  # samples of a worker that can be read again, for a batch that is computed again


class StreamSplit(Split):
    """Samples of `dataset`, `samples` of them in an epoch: None if the data set has no length. The random numbers that
    the data set draws are of `seed`, and others for each worker.
    """

    def __init__(
        self,
        dataset: IterableDataset[Any],
        collate: Collate | None = None,
        *,
        whole: bool = False,
        samples: int | None = None,
        workers: int = 1,
        seed: int = 0,
    ) -> None:
        self.dataset, self.collate, self.whole = dataset, collate, whole
        self.samples, self.workers, self.seed = samples, workers, seed
        self._parts: dict[int, _Part] = {}

    def dealt(self, samples: int, workers: int, seed: int) -> StreamSplit:
        """The same stream with another length, for these workers."""
        return StreamSplit(self.dataset, self.collate, whole=self.whole, samples=samples, workers=workers, seed=seed)

    def __len__(self) -> int:
        if self.samples is None:
            raise TypeError("a stream without a length")
        return self.samples

    def batch(self, index: Tensor, *, train: bool) -> tuple[Any, Any]:  # noqa: ARG002
        samples = [self._part(number % self.workers).sample(number // self.workers) for number in index.tolist()]
        return join(samples, self.collate, self.whole, type(self.dataset).__name__)

    def some(self, count: int) -> Tensor:
        return torch.arange(min(count, self.samples or count)) * self.workers

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_parts": {}}

    def _part(self, rank: int) -> _Part:
        if rank not in self._parts:
            self._parts[rank] = _Part(self.dataset, rank, self.workers, mixed(self.seed, rank))
        return self._parts[rank]


class _Part:
    """What one worker reads, with random numbers of its own."""

    def __init__(self, dataset: IterableDataset[Any], rank: int, workers: int, seed: int) -> None:
        self._dataset, self._rank, self._workers, self._seed = dataset, rank, workers, seed
        self._restart()

    def _restart(self) -> None:
        self._position, self._passes = 0, 0
        self._kept: dict[int, Any] = {}
        self._stream: Iterator[Any] | None = None
        self._generators = Generators(self._seed)

    def sample(self, number: int) -> Any:
        """Sample `number` of this part, counted over all passes."""
        if number < self._position and number not in self._kept:
            self._restart()
        if number >= self._position:
            with self._generators:
                while number >= self._position:
                    self._kept[self._position] = self._next()
                    self._kept.pop(self._position - KEPT, None)
                    self._position += 1
        return self._kept[number]

    def _next(self) -> Any:
        for _ in range(2):
            if self._stream is None:
                self._stream = self._open()
            for sample in self._stream:
                return sample
            self._stream = None  # the next pass
        raise DataError(
            f"{type(self._dataset).__name__} gives worker {self._rank} of {self._workers} no sample: use fewer workers"
        )

    def _open(self) -> Iterator[Any]:
        if callable(shard := getattr(self._dataset, "shard", None)):
            return iter(shard(num_shards=self._workers, index=self._rank))
        return islice(iter(self._dataset), self._rank, None, self._workers)
