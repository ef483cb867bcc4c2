"""Metrics of predictions, for `hogwild.fit(metrics={"top5": hogwild.metrics.top_k(5), ...})`.

A metric is one of these; a function (output, target) -> a mean over the batch, or (sum, count), whose ratio over the
whole set is the metric; or an object with update(output, target), compute() and reset(), such as those of torchmetrics.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from hogwild.errors import UsageError
from hogwild.own_code import described

IGNORED = -100  # the label of a position that does not count, torch's default too

Function = Callable[[Any, Any], Any]


class Meter(Protocol):
    """Takes the batches of an evaluation and says the metric."""

    def reset(self) -> None: ...

    def update(self, output: Any, target: Any, /) -> object: ...

    def compute(self) -> Any: ...


@dataclass
class Mean:
    """finish(total sum / total count) of a function (output, target) -> (sum, count). A function that returns one
    number gives the mean of a batch, which counts with its samples.

    `larger_is_better`: None: the name of the metric decides.
    """

    function: Function
    larger_is_better: bool | None = None
    finish: Callable[[float], float] = float
    _sum: float = field(default=0.0, repr=False)
    _count: float = field(default=0.0, repr=False)

    def reset(self) -> None:
        self._sum = self._count = 0.0

    def update(self, output: Any, target: Any) -> None:
        found = self.function(output, target)
        try:
            if isinstance(found, (tuple, list)):
                part, count = found
            else:
                count = _samples(target) or _samples(output) or 1
                part = float(found) * count
            self._sum, self._count = self._sum + float(part), self._count + float(count)
        except (TypeError, ValueError, RuntimeError):
            raise UsageError(
                f"it returned {described(found)}; it must be the mean of the batch, or (sum, count), whose ratio over "
                "the whole set is the metric"
            ) from None

    def compute(self) -> float:
        return self.finish(self._sum / self._count) if self._count else math.nan


@dataclass
class Whole:
    """A function (outputs, targets) -> number of all predictions of an evaluation at once, on the CPU.

    For a metric that is no mean over samples: whole(my_ranking_score). It holds all outputs in memory meanwhile.
    """

    function: Function
    larger_is_better: bool | None = None
    _outputs: list[Any] = field(default_factory=list, repr=False)
    _targets: list[Any] = field(default_factory=list, repr=False)

    def reset(self) -> None:
        self._outputs, self._targets = [], []

    def update(self, output: Any, target: Any) -> None:
        self._outputs.append(_kept(output))
        self._targets.append(_kept(target))

    def compute(self) -> float:
        return float(self.function(joined(self._outputs), joined(self._targets))) if self._outputs else math.nan


def whole(function: Function, larger_is_better: bool | None = None) -> Whole:
    """The metric function(all outputs, all targets)."""
    return Whole(function, larger_is_better)


def top_k(k: int) -> Mean:
    """The part of the samples whose target is among the k largest outputs: outputs [..., classes], targets [...].

    >>> best_two = top_k(2)
    >>> best_two.update(torch.tensor([[0.1, 0.7, 0.2], [0.5, 0.4, 0.1]]), torch.tensor([2, 2]))
    >>> best_two.compute()
    0.5
    """
    if k < 1:
        raise UsageError(f"top_k needs k >= 1, not {k}")
    return Mean(_TopK(k), larger_is_better=True)


def k_of(metric: Mean) -> int:
    """The k of a metric of `top_k`; 0 for any other."""
    return metric.function.k if isinstance(metric.function, _TopK) else 0


@dataclass(frozen=True)
class _TopK:
    k: int

    def __call__(self, output: Tensor, target: Tensor) -> tuple[float, int]:
        best = output.topk(min(self.k, output.shape[-1]), dim=-1).indices
        target = target.reshape(best.shape[:-1])
        counts = target != IGNORED
        return float(((best == target[..., None]).any(-1) & counts).sum()), int(counts.sum())


def _nats(output: Tensor, target: Tensor) -> tuple[float, int]:
    target = target.flatten().long()
    total = F.cross_entropy(output.flatten(0, -2).float(), target, reduction="sum", ignore_index=IGNORED)
    return float(total), int((target != IGNORED).sum())


def _squares(output: Tensor, target: Tensor) -> tuple[float, int]:
    return float((output.reshape(target.shape) - target).double().square().sum()), target.numel()


def _distances(output: Tensor, target: Tensor) -> tuple[float, int]:
    return float((output.reshape(target.shape) - target).double().abs().sum()), target.numel()


def _area(outputs: Tensor, targets: Tensor) -> float:
    """The part of the pairs (one of class 1, one of class 0) in which the first has the larger output; ties count half.

    outputs: [n], [n, 1] or [n, 2] (the difference of both counts); targets: 0 or 1, [n] or [n, 1].
    """
    scores = outputs[:, 1] - outputs[:, 0] if outputs.dim() == 2 and outputs.shape[1] == 2 else outputs.flatten()
    scores, positive = scores.double(), targets.flatten() > 0
    values, inverse, counts = torch.unique(scores, return_inverse=True, return_counts=True)
    ranks = (counts.cumsum(0).double() - (counts - 1).double() / 2)[inverse]  # mean rank among equals, from 1
    ones, zeros = int(positive.sum()), int((~positive).sum())
    if not (ones and zeros and len(values)):
        return math.nan
    return float((ranks[positive].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def _macro_f1(outputs: Tensor, targets: Tensor) -> float:
    """The mean over the classes of 2 TP / (2 TP + FP + FN); classes that occur nowhere do not count."""
    found, wanted = outputs.argmax(-1).flatten(), targets.flatten()
    found, wanted = found[wanted != IGNORED], wanted[wanted != IGNORED]
    classes = outputs.shape[-1]
    right = torch.bincount(wanted[found == wanted], minlength=classes).double()
    seen = torch.bincount(found, minlength=classes) + torch.bincount(wanted, minlength=classes)
    return float((2 * right[seen > 0] / seen[seen > 0]).mean())


accuracy = top_k(1)
perplexity = Mean(_nats, False, math.exp)
"""exp(mean of -log softmax(output)[target]): outputs [..., classes], targets [...]."""
rmse = Mean(_squares, False, math.sqrt)
mae = Mean(_distances, False)
auc = Whole(_area, True)
"""The area under the ROC curve, for two classes."""
f1 = Whole(_macro_f1, True)
"""The mean of the classes' F1."""


def meter(name: str, metric: object) -> Meter:
    """What a caller gives as a metric, ready for use. UsageError if it is none."""
    if isinstance(metric, (Mean, Whole)):
        return type(metric)(*(getattr(metric, key) for key in metric.__dataclass_fields__ if not key.startswith("_")))
    if isinstance(metric, type):
        raise UsageError(f"metric {name} is the class {metric.__name__}: give an instance of it")
    if all(callable(getattr(metric, method, None)) for method in ("update", "compute", "reset")):
        return metric  # type: ignore[return-value]  # duck-typed
    if callable(metric):
        return Mean(metric, direction(metric), getattr(metric, "finish", float))
    raise UsageError(
        f"metric {name} is {described(metric)}; it must be a function (output, target) -> number or (sum, count), or "
        "have update, compute and reset"
    )


def direction(metric: object) -> bool | None:
    """Whether a larger value is better, if the metric itself says so (torchmetrics: higher_is_better)."""
    for attribute in ("larger_is_better", "higher_is_better"):
        if isinstance(found := getattr(metric, attribute, None), bool):
            return found
    return None


def joined(parts: list[Any]) -> Any:
    """The batches as one: tensors joined in dimension 0, in tuples, lists and dicts too; anything else as a list."""
    first = parts[0]
    if isinstance(first, Tensor):
        return torch.cat(parts) if first.dim() else torch.stack(parts)
    if isinstance(first, dict):
        return {key: joined([part[key] for part in parts]) for key in first}
    if isinstance(first, (tuple, list)):
        return tuple(joined([part[i] for part in parts]) for i in range(len(first)))
    return parts


def _kept(value: Any) -> Any:
    """Tensors on the CPU, in tuples, lists and dicts too."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: _kept(part) for key, part in value.items()}
    return tuple(_kept(part) for part in value) if isinstance(value, (tuple, list)) else value


def _samples(value: Any) -> int:
    """The length of the first tensor's first dimension; 0 if there is none."""
    if isinstance(value, Tensor):
        return len(value) if value.dim() else 0
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, (tuple, list)) else ()
    return next((count for part in parts if (count := _samples(part))), 0)
