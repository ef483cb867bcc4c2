"""The class of every training sample, used to sort the data or to divide it among the workers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from hogwild.errors import UsageError
from hogwild.own_code import told
from hogwild.tasks.data import Data, Split

CHUNK = 500


def class_numbers(data: Data, wanted_by: str) -> Tensor:
    """Class of every sample of the training split, [n] int64. If the split stores no targets, all samples are read.

    Raises UsageError, which names the option `wanted_by`, if a target is not a single integer, or cannot be read.
    """
    found = []
    for targets in _targets(data.train, wanted_by):
        if not isinstance(targets, Tensor) or targets.dim() != 1 or targets.is_floating_point():
            raise UsageError(
                f"{wanted_by} needs samples with one class each; the targets of {data.name} are {_a(targets)}: "
                "leave it out, or use data with classes"
            )
        found.append(targets.long())
    return torch.cat(found).cpu()


def _targets(split: Split, wanted_by: str) -> Iterator[Any]:
    stored = split.tensors().get("targets")
    if stored is not None:
        yield stored
        return
    for start in range(0, len(split), CHUNK):
        index = torch.arange(start, min(start + CHUNK, len(split)))
        try:
            yield split.batch(index, train=False)[1]
        except Exception as error:  # the caller's own code runs here
            raise _unreadable(split, index, error, wanted_by) from error


def _unreadable(split: Split, index: Tensor, error: Exception, wanted_by: str) -> UsageError:
    """About the first of these samples that cannot be read, or about all of them, where each alone can be read."""
    which = f"samples {int(index[0])} to {int(index[-1])}"
    for number in index.tolist():
        try:
            split.batch(torch.tensor([number]), train=False)
        except Exception as found:
            which, error = f"sample {number}", found
            break
    return UsageError(f"{wanted_by} needs the class of every sample, and {which} cannot be read: {told(error)}")


def _a(targets: object) -> str:
    if isinstance(targets, Tensor):
        return f"{str(targets.dtype).removeprefix('torch.')} {list(targets.shape)}"
    return f"a {type(targets).__name__}"
