"""A data set as the trainer sees it: two splits, a loss, a score."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from hogwild.errors import UsageError
from hogwild.metrics import direction
from hogwild.own_code import described
from hogwild.tasks.direction import larger_is_better
from hogwild.tasks.objectives import count_correct, cross_entropy
from hogwild.tasks.steps import StepFn


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """A small tensor on `device`. On a GPU the copy is only enqueued, and done before later work on the stream."""
    if device.type != "cuda" or tensor.device == device:
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


class Split(ABC):
    """Samples that are read in batches. Picklable. The samples are stored in the tensors that `tensors` returns.

    `seeds_others`: reading a training batch seeds the generators of Python and NumPy too (seed_others).
    """

    seeds_others: bool = False

    @abstractmethod
    def __len__(self) -> int:
        """Number of samples, which is the length of one epoch."""

    @abstractmethod
    def batch(self, index: Tensor, *, train: bool) -> tuple[Any, Any]:
        """(inputs, targets) of the samples `index` [batch] int64, ready for the model and for Data.loss.

        If `train`, the inputs are augmented as the data set defines it, with random numbers from torch's default
        generator. The storage is only read, so any number of workers may share it.
        """

    def tensors(self) -> dict[str, Tensor]:
        """The raw storage by name; empty if the samples are not stored in tensors."""
        return {}

    def with_tensors(self, tensors: Mapping[str, Tensor]) -> Split:
        """The same split over another storage, such as shared memory, with the same names, shapes and dtypes."""
        if tensors:
            raise ValueError(f"{type(self).__name__} keeps no tensors, got {sorted(tensors)}")
        return self

    def some(self, count: int) -> Tensor:
        """Up to `count` sample numbers from all over the split [<= count] int64, for a trial."""
        return torch.linspace(0, max(len(self) - 1, 0), min(count, len(self)), dtype=torch.float64).long()


class NoSamples(Split):
    """In the place of a split that there is not: it has no samples."""

    def __len__(self) -> int:
        return 0

    def batch(self, index: Tensor, *, train: bool) -> tuple[Any, Any]:
        raise IndexError(f"there are no samples here (asked for {index.numel()}, train={train})")


@dataclass
class Data:
    """A training and a test split, with their loss and their metric. A test split that is None becomes an empty one:
    the run trains without evaluations.

    `loss(output, target)` is a scalar Tensor, the mean over the batch. `score(output, target)` is (sum, count), and the
    metric of a split is total sum / total count, or score.finish(that) if it has a `finish`, as a root mean square has;
    None: the loss is all that is reported. `maximize` says whether a
    larger metric is better, for the checkpoint `best`; None: by the metric's name (hogwild.tasks.direction), else yes.
    `classes` 0: unknown, and no registered classifier can be built.

    `validation`, if it has samples, takes the place of `test` while the run trains; `test` is evaluated at its end.
    `step(model, batch)`, if given, takes the place of model and loss (hogwild.tasks.steps). `metrics` are computed in
    each evaluation (hogwild.metrics); `monitor` names the one that chooses the best checkpoint. `lines` are for the
    user: what could not be kept of the data that were given.
    """

    name: str
    train: Split
    test: Split
    input_shape: tuple[int, ...]  # of one sample: (channels, height, width), (features,), (length,) for text
    classes: int
    kind: str  # image | vector | sparse | text | ratings | words
    metric: str = "accuracy"
    maximize: bool | None = None
    loss: Callable[[Any, Any], Tensor] = cross_entropy
    score: Callable[[Any, Any], tuple[float, int]] | None = count_correct
    labels: tuple[str, ...] = ()  # names of the classes; the characters of a text
    note: str = ""  # a caveat to print beside every result on these data
    validation: Split = field(default_factory=NoSamples)
    step: StepFn | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    monitor: str | None = None
    eval_batch: int = 500  # samples per batch of an evaluation
    lines: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.test = NoSamples() if self.test is None else self.test
        if self.maximize not in (None, True, False):
            raise UsageError(f"maximize is True, False or None; it is {described(self.maximize)}")
        if self.score is None:
            self.metric = "loss"

    @property
    def larger_is_better(self) -> bool:
        """Whether the larger of two values of the monitored metric is the better one."""
        return self.direction is not False

    @property
    def monitored(self) -> str:
        """The metric that chooses the checkpoint best: `monitor`, that of `score`, the first of `metrics`, the loss."""
        return self.monitor or next(iter(self.metrics if self.score is None else [self.metric]), "loss")

    @property
    def direction(self) -> bool | None:
        """The same; None if nothing says so: neither `maximize`, nor the metric itself, nor its name."""
        if self.maximize is not None or self.monitored == "loss":
            return bool(self.maximize) and self.monitored != "loss"
        said = direction(self.metrics.get(self.monitored))
        return said if said is not None else larger_is_better(self.monitored)

    @property
    def watched(self) -> tuple[str, Split]:
        """The split on which the run is evaluated while it trains, and its name in metrics: val or test."""
        return ("val", self.validation) if len(self.validation) else ("test", self.test)
