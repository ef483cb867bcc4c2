"""Does the metric fit the outputs, the targets and the loss? Decided with one batch, before anything is trained.

With the loss of the data set, outputs and targets must fit its metric. A loss of the caller's own may mean anything by
an output, so a metric goes with it only if the loss itself prefers the outputs that the metric calls right:

    accuracy             loss(one-hot target) < loss(0) < loss(-one-hot target), classes last or in dimension 1
    accuracy by sign     of one logit per sample and targets 0 and 1: the same with +-20 in place of the one-hot
    mean_squared_error   the gradient of the loss is zero where the output is the target

The first one in this order wins, the data set's own metric first. If there is none, the run reports the loss alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from hogwild.errors import UsageError
from hogwild.tasks.data import Data
from hogwild.tasks.objectives import (
    IGNORED,
    count_correct,
    count_correct_channels,
    count_correct_signs,
    cross_entropy,
    mean_squared_error,
    sum_squared_error,
)

Score = Callable[[Any, Any], tuple[float, int]]
Loss = Callable[[Any, Any], Tensor]

REMEDY = (
    "To train or measure something else, give loss_fn=, score_fn= and metric= (in Data, or --data: loss, score, metric)"
)
SURE = 20.0  # a logit at which its class is beyond doubt


class Metric(NamedTuple):
    """A metric that may go with a loss of the caller's own. `how`, in words; `fault`: why it does not fit; `agrees`:
    whether the loss prefers what it prefers.
    """

    name: str
    how: str
    score: Score
    fault: Callable[[Any, Any], str | None]
    agrees: Callable[[Loss, Tensor, Tensor], bool]


def require_fitting_loss(data: Data, output: Any, target: Any) -> None:
    """UsageError if the loss is one of hogwild's own, and a batch's output and target do not fit it."""
    faults: dict[Any, Any] = {cross_entropy: _class_fault, mean_squared_error: _square_fault}
    if (find := faults.get(data.loss)) is not None and (fault := find(output, target)) is not None:
        raise UsageError(f"{fault}. {REMEDY}")


def fitted(data: Data, output: Any, target: Any) -> tuple[Data, str | None]:
    """`data` with a metric that fits a batch's output and target, and a line about it if it is another one.

    Calls data.loss with outputs made up for the purpose, shaped like `output`. UsageError if the data set's own loss
    and metric do not fit.
    """
    default = next((metric for metric in METRICS if metric.score is data.score), None)
    if default is None:
        return data, None
    if data.loss in (cross_entropy, mean_squared_error):
        if (fault := default.fault(output, target)) is not None:
            raise UsageError(f"{fault}. {REMEDY}")
        return data, None
    for metric in (default, *METRICS):
        if metric.fault(output, target) is None and _agrees(metric, data.loss, output, target):
            if metric is default:
                return data, None
            data = replace(data, score=metric.score, metric=metric.name, maximize=None)
            return data, f"the metric is {metric.how} (score_fn= and metric= give another)"
    return replace(data, score=None), (
        f"no metric is known to fit this loss with outputs {described(output)} and targets {described(target)}: only "
        f"the loss is reported. {REMEDY}"
    )


def label_fault(output: Tensor, labels: Tensor) -> str | None:
    """Why class numbers do not fit an output [..., classes]; None if they do."""
    known = labels[labels != IGNORED]
    classes = output.shape[-1]
    if known.numel() == 0 or (int(known.min()) >= 0 and int(known.max()) < classes):
        return None
    return (
        f"the labels go from {int(known.min())} to {int(known.max())}, and the model has {classes} outputs: labels "
        f"must be 0 to {classes - 1}, or {IGNORED} for what does not count"
    )


def described(value: object) -> str:
    """`float32 [32, 10]`, or `a tuple`."""
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
    return f"a {type(value).__name__}"


def _agrees(metric: Metric, loss: Loss, output: Tensor, target: Tensor) -> bool:
    try:
        with torch.enable_grad():
            return metric.agrees(loss, output.detach(), target)
    except Exception:  # the caller's loss may refuse any output that no model gave it
        return False


def _class_fault(output: Any, target: Any) -> str | None:
    if not isinstance(output, Tensor) or not isinstance(target, Tensor):
        return f"class numbers need tensors; the output is {described(output)}, the target {described(target)}"
    shapes = f"outputs {described(output)}, targets {described(target)}"
    if target.is_floating_point():
        return f"class numbers are integers, and the targets are not: {shapes}"
    if output.dim() < 2 or output.shape[-1] == 1:
        return (
            f"one output per sample cannot tell classes apart ({shapes}): let the model have one for each class, or "
            "train with binary cross-entropy"
        )
    if tuple(output.shape[:-1]) in (tuple(target.shape), tuple(target.squeeze(-1).shape)):
        return label_fault(output, target)
    if output.shape[:1] + output.shape[2:] == target.shape:
        return f"the classes must be the last dimension, they are dimension 1: {shapes}. Use output.movedim(1, -1)"
    return f"outputs must be [samples, ..., classes] and targets [samples, ...]: {shapes}"


def _channel_fault(output: Any, target: Any) -> str | None:
    if not isinstance(output, Tensor) or not isinstance(target, Tensor) or output.dim() < 3:
        return "no classes in dimension 1"
    if target.is_floating_point() or output.shape[:1] + output.shape[2:] != target.shape:
        return "no classes in dimension 1"
    return label_fault(output.movedim(1, -1), target)


def _sign_fault(output: Any, target: Any) -> str | None:
    if not isinstance(output, Tensor) or not isinstance(target, Tensor):
        return "no tensors"
    is_column = all(t.dim() == 1 or (t.dim() == 2 and t.shape[1] == 1) for t in (output, target))
    is_fit = is_column and len(output) == len(target) and bool(((target == 0) | (target == 1)).all())
    return None if is_fit else "more than one output per sample, or other targets than 0 and 1"


def _square_fault(output: Any, target: Any) -> str | None:
    if not isinstance(output, Tensor) or not isinstance(target, Tensor):
        return f"squared errors are of tensors; the output is {described(output)}, the target {described(target)}"
    shapes = {tuple(output.shape), (*output.shape, 1), tuple(output.shape[:-1]) if output.shape[-1:] == (1,) else ()}
    if tuple(target.shape) in shapes:
        return None
    return f"outputs and targets must have one shape: outputs {described(output)}, targets {described(target)}"


def _prefers_classes(loss: Loss, output: Tensor, target: Tensor) -> bool:
    right = _one_hot(output, target)
    if not _prefers(loss, right, target):
        return False
    return _channel_fault(output, target) is not None or float(loss(right, target)) < float(
        loss(right.movedim(-1, 1), target)
    )


def _prefers_channels(loss: Loss, output: Tensor, target: Tensor) -> bool:
    return _prefers(loss, _one_hot(output.movedim(1, -1), target).movedim(-1, 1), target)


def _prefers_signs(loss: Loss, output: Tensor, target: Tensor) -> bool:
    """For each of the two classes alone: a loss of squares would prefer one of them."""
    right = SURE * (2 * target.reshape(output.shape).to(output.dtype) - 1)
    parts = [(target == label).flatten() for label in (0, 1)]
    return all(_prefers(loss, right[part], target[part]) for part in parts if part.any())


def _prefers(loss: Loss, right: Tensor, target: Tensor) -> bool:
    best, neutral, worst = (float(loss(sign * right, target)) for sign in (1, 0, -1))
    return best < neutral < worst


def _one_hot(output: Tensor, target: Tensor) -> Tensor:
    labels = target.reshape(output.shape[:-1])
    return F.one_hot(labels.clamp(min=0), output.shape[-1]).to(output.dtype)


def _least_at_target(loss: Loss, output: Tensor, target: Tensor) -> bool:
    exact = target.reshape(output.shape).to(output.dtype)

    def slope(shift: float) -> float:
        at = (exact + shift).requires_grad_()
        return float(torch.autograd.grad(loss(at, target), at)[0].abs().sum())

    return slope(0.0) <= 1e-3 * slope(1.0)


METRICS = (
    Metric("accuracy", "accuracy", count_correct, _class_fault, _prefers_classes),
    Metric(
        "accuracy",
        "accuracy, with the classes in dimension 1",
        count_correct_channels,
        _channel_fault,
        _prefers_channels,
    ),
    Metric("accuracy", "accuracy by the sign of the one output", count_correct_signs, _sign_fault, _prefers_signs),
    Metric("mean_squared_error", "mean_squared_error", sum_squared_error, _square_fault, _least_at_target),
)
