"""A DataLoader, taken apart: hogwild makes the batches itself, and needs what they are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch.utils.data import BatchSampler, DataLoader, RandomSampler, SequentialSampler

from hogwild.tasks.splits.dataset import Collate


@dataclass(frozen=True)
class Loader:
    """What a DataLoader makes batches of. `lines`: what of it is not kept, for the user."""

    dataset: Any
    batch_size: int | None
    collate: Collate | None
    drop_last: bool
    lines: tuple[str, ...]


def take_apart(loader: DataLoader[Any], what: str, *, trains: bool) -> Loader:
    """The parts of `loader`. `what`: its name in messages; `trains`: its samples are trained with, in any order.

    num_workers, pin_memory and prefetch_factor mean nothing here: each worker reads the samples that it trains with.
    """
    lines = []
    sampler, batches = loader.sampler, loader.batch_sampler
    if batches is not None and type(batches) is not BatchSampler:
        lines.append(f"its batch_sampler {type(batches).__name__}")
    elif trains and type(sampler) is SequentialSampler:
        lines.append("the order of the data set (shuffle=False)")
    elif trains and type(sampler) not in (RandomSampler, SequentialSampler) and hasattr(loader.dataset, "__getitem__"):
        lines.append(f"its sampler {type(sampler).__name__}")
    elif trains and isinstance(sampler, RandomSampler) and (sampler.replacement or sampler._num_samples is not None):
        lines.append("drawing with replacement, or a number of samples (RandomSampler)")
    instead = "every pass takes each sample once, shuffled" if trains else "every sample is evaluated once"
    told = [f"{what} is a DataLoader, of which hogwild does not keep {line}: {instead}" for line in lines]
    if loader.worker_init_fn is not None:
        told.append(f"{what} is a DataLoader whose worker_init_fn is not called: hogwild seeds each worker itself")
    is_own = getattr(loader.collate_fn, "__module__", "") != "torch.utils.data._utils.collate"
    return Loader(
        loader.dataset, loader.batch_size, loader.collate_fn if is_own else None, loader.drop_last, tuple(told)
    )
