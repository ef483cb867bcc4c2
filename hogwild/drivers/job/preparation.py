"""The data of a run, as its configuration asks for them: the validation set that is set apart, a stream's length."""

from __future__ import annotations

from dataclasses import replace

import torch

from hogwild.config import Config
from hogwild.errors import UsageError
from hogwild.shared.seeds import mixed
from hogwild.tasks.data import Data
from hogwild.tasks.splits.part import PartSplit
from hogwild.tasks.splits.stream import StreamSplit

APART = -(1 << 40)  # the seed's number of the permutation that sets samples apart; batches have others


def prepared(data: Data, config: Config, per_update: int) -> Data:
    """The data with which a run of `config` trains, of which an update takes `per_update` gradients."""
    if isinstance(data.train, StreamSplit):
        data = replace(data, train=_dealt(data.train, config, per_update))
    return _set_apart(data, config) if config.validation else data


def require_loadable(data: Data) -> None:
    """UsageError if loader processes would be of no use for these data."""
    if isinstance(data.train, StreamSplit):
        raise UsageError("loaders read batches by their numbers, and a stream has none: leave loaders out")
    if data.train.tensors():
        raise UsageError(
            f"loaders are for data sets that compute their samples one by one, and {data.name} lies in memory, where "
            "a worker takes a batch in microseconds: leave loaders out"
        )


def _dealt(stream: StreamSplit, config: Config, per_update: int) -> StreamSplit:
    """The stream for the workers of a run. One without a length has that of the run."""
    samples = stream.samples
    if samples is None and config.updates is not None:
        samples = config.updates * per_update * config.gradient_samples
    if samples is None:
        samples = config.samples
    if samples is None:
        raise UsageError(
            "the training set is an IterableDataset without __len__, so there are no epochs: give updates= or samples="
        )
    return stream.dealt(max(samples, config.workers * config.gradient_samples), config.workers, config.seed)


def _set_apart(data: Data, config: Config) -> Data:
    """The last samples of a random order that depends on the seed alone become the validation set."""
    if len(data.validation):
        raise UsageError("a validation set is given, and validation as a fraction of the training set: leave one out")
    if isinstance(data.train, StreamSplit):
        raise UsageError("no part of a stream can be set apart: give a validation set")
    samples = len(data.train)
    apart = round(samples * config.validation)
    if not 0 < apart < samples:
        raise UsageError(f"validation {config.validation:g} of {samples} samples is {apart}: give another fraction")
    order = torch.randperm(samples, generator=torch.Generator().manual_seed(mixed(config.seed, APART)))
    train, validation = (
        PartSplit(data.train, part.sort().values) for part in (order[: samples - apart], order[samples - apart :])
    )
    return replace(data, train=train, validation=validation)
