"""One batch of each split through a model of its own, before the first update: what cannot train, or has no metric
that fits, is told in one line and costs nothing.

Nothing of the run changes: the model is a new one, the caller's random numbers go on as if there had been no trial.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from hogwild import own_code
from hogwild.drivers.job.job import Job
from hogwild.drivers.job.model import build, smallest_batch
from hogwild.drivers.job.samples import Reader
from hogwild.drivers.job.tables import require_gradients
from hogwild.errors import HogwildError, UsageError
from hogwild.shared.devices import to_device
from hogwild.shared.embeddings import tables_of
from hogwild.shared.seeds import own_generators
from hogwild.tasks.data import Data, Split
from hogwild.tasks.meters import Meters
from hogwild.tasks.metric import REMEDY, described, fitted, label_fault, require_fitting_loss
from hogwild.tasks.objectives import count_correct, cross_entropy
from hogwild.tasks.steps import apply

SAMPLES = 64
BROADCASTS = "Using a target size"  # how torch begins its warning of a loss that does so
ONE_VALUE = "Expected more than 1 value per channel"  # how torch begins its refusal of a batch of one

T = TypeVar("T")


def try_out(job: Job, device: torch.device) -> tuple[Data, list[str]]:
    """The run's data, with a metric that fits, and lines for the user. UsageError if the run could not train, or could
    not be evaluated.

    A training batch goes through the model in training, then one of the test set through the model in evaluation.
    Samples that cannot be read are left out of it: the run will name and count them when it comes to them. If none can
    be read, the batch is left to the run.
    """
    config, data, lines = job.config, job.data, [*_about(job.data), *_left_out(job)]
    with own_generators(config.seed):
        module = build(config, data, job.model).to(device)
        dtype = next(module.parameters()).dtype
        least = smallest_batch(module, config.batch_size)
        batch = _batch(data.train, min(config.batch_size, SAMPLES), train=True, least=least)
        if batch is not None:
            module.train()
            _check_loss(data, module, *to_device(batch, device, dtype))
        split = data.watched[1] if len(data.watched[1]) else data.train
        batch = _batch(split, SAMPLES, train=False)
        if batch is not None:
            module.eval()
            with torch.no_grad():
                data, line = _with_metric(data, module, *to_device(batch, device, dtype))
                if len(data.validation) and (batch := _batch(data.test, SAMPLES, train=False)) is not None:
                    _with_metric(data, module, *to_device(batch, device, dtype))  # evaluated at the end of the run
            lines += [line] if line is not None else []
    return data, lines


def fit_metric(data: Data, module: nn.Module) -> Data:
    """`data` with the metric that the run of `module` chose: for a checkpoint's evaluation."""
    batch = _batch(data.test, SAMPLES, train=False)
    if batch is None:
        return data
    place, was_training = next(module.parameters()), module.training
    module.eval()
    with torch.no_grad():
        found, _ = _with_metric(data, module, *to_device(batch, place.device, place.dtype))
    module.train(was_training)
    return found


def _about(data: Data) -> list[str]:
    lines = list(data.lines)
    if data.direction is not None:
        return lines
    return [
        *lines,
        f"metric {data.monitored}: the larger, the better, for the checkpoint `best`; if not, give maximize=False "
        "(maximize of Data)",
    ]


def _batch(split: Split, count: int, *, train: bool, least: int = 1) -> tuple[Any, Any] | None:
    """Samples from all over the split; None if fewer than `least` can be read, or there are none."""
    if not len(index := split.some(count)):
        return None
    batch = Reader(split, least).read(index, train=train)
    return (batch.inputs, batch.targets) if len(batch) else None


def _check_loss(data: Data, module: nn.Module, inputs: Any, targets: Any) -> None:
    """UsageError unless the loss of a training batch is one number with a gradient."""
    if data.step is not None:
        batch = described(inputs) if targets is None else f"({described(inputs)}, {described(targets)})"
        stepped = _call(f"step_fn fails on a batch {batch}", lambda: apply(data, module, inputs, targets))
        _check_value(module, stepped.loss, "step_fn", f"a batch {batch}")
        return
    output = _call(f"the model fails on a batch of inputs {described(inputs)}", lambda: module(inputs))
    if isinstance(data.loss, type):
        raise UsageError(f"the loss is the class {data.loss.__name__}: give an instance of it")
    require_fitting_loss(data, output, targets)
    if data.loss is cross_entropy:
        _check_labels(data, output)
    shapes = f"outputs {described(output)}, targets {described(targets)}"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loss = _call(f"the loss fails on {shapes}", lambda: data.loss(output, targets))
    if any(str(warning.message).startswith(BROADCASTS) for warning in caught) or _broadcasts(
        data, output, targets, loss
    ):
        raise UsageError(
            f"the loss compares every output with every target, by broadcasting: {shapes}. Give both one shape, "
            "such as with output.squeeze(-1) in the model"
        )
    _check_value(module, loss, "the loss", shapes)


def _check_value(module: nn.Module, loss: Any, of: str, shapes: str) -> None:
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        raise UsageError(f"{of} returned {described(loss)} for {shapes}; it must be one number, the mean of the batch")
    if not loss.requires_grad:
        raise UsageError("the loss does not depend on the parameters: does the model or the loss detach() something?")
    if tables_of(module):
        _call("the backward pass fails", lambda: require_gradients(module, loss))


def _broadcasts(data: Data, output: Any, target: Any, loss: Any) -> bool:
    """Whether a loss of [n, 1] and [n] is another one than that of two [n], so that it has compared n * n pairs."""
    if not (isinstance(output, Tensor) and isinstance(target, Tensor) and isinstance(loss, Tensor)):
        return False
    if output.shape == target.shape or output.numel() != target.numel() or loss.numel() != 1:
        return False
    try:
        with torch.no_grad():
            alike = data.loss(output.reshape(target.shape), target)
    except Exception:  # the caller's own loss may want the shape that it got
        return False
    return not torch.allclose(alike.reshape(()), loss.detach().reshape(()), rtol=1e-3, atol=1e-6, equal_nan=True)


def _with_metric(data: Data, module: nn.Module, inputs: Any, targets: Any) -> tuple[Data, str | None]:
    """`data` with a metric that fits. UsageError if the model, the loss or the score fails in evaluation."""
    if data.step is not None:
        stepped = _call("step_fn fails, in evaluation", lambda: apply(data, module, inputs, targets))
        _try_metrics(data, stepped.outputs, stepped.targets)
        return data, None
    output = _call(f"the model fails, in evaluation, on inputs {described(inputs)}", lambda: module(inputs))
    _try_metrics(data, output, targets)
    data, line = fitted(data, output, targets)
    if data.score is count_correct:
        if data.loss is cross_entropy:
            _check_labels(data, output)
        elif any(label_fault(output, labels) for labels in _labels(data)):
            line = f"some labels are no class of the model's {output.shape[-1]}: only the loss is reported. {REMEDY}"
            data = replace(data, score=None)
    shapes = f"outputs {described(output)}, targets {described(targets)}"
    _call(f"the loss fails, in evaluation, on {shapes}", lambda: float(data.loss(output, targets)))
    if (score := data.score) is not None:
        if data.metric == "loss":
            raise UsageError("a metric of the name loss would hide the loss: call it otherwise (metric=)")
        found = _call(f"the score fails on {shapes}", lambda: score(output, targets))
        try:
            total, count = found
            float(total), float(count)
        except (TypeError, ValueError, RuntimeError):
            raise UsageError(
                f"the score returned {described(found)}; it must be (sum, count), whose ratio over the whole set is "
                f"the metric: for a mean, (mean * len(target), len(target))"
            ) from None
    return data, line


def _try_metrics(data: Data, outputs: Any, targets: Any) -> None:
    """UsageError if a metric fails, or hides the loss by its name, or if the monitored one is none of them."""
    meters = Meters(data.metrics, torch.device("cpu") if outputs is None else _device(outputs))
    meters.update(outputs, targets)
    found = {"loss", *meters.compute(), *([data.metric] if data.score is not None else [])}
    if "loss" in data.metrics:
        raise UsageError("a metric of the name loss would hide the loss: call it otherwise")
    if data.monitored not in found:
        raise UsageError(f"there is no metric {data.monitored} to monitor: there are {', '.join(sorted(found))}")


def _device(outputs: Any) -> torch.device:
    """Of the first tensor in it."""
    if isinstance(outputs, Tensor):
        return outputs.device
    parts = outputs.values() if isinstance(outputs, dict) else outputs if isinstance(outputs, (tuple, list)) else ()
    return next((_device(part) for part in parts), torch.device("cpu"))


def _check_labels(data: Data, output: Tensor) -> None:
    for labels in _labels(data):
        if (fault := label_fault(output, labels)) is not None:
            raise UsageError(fault)


def _labels(data: Data) -> list[Tensor]:
    """All class numbers of both splits, where they are stored."""
    stored = (split.tensors().get("targets") for split in (data.train, data.validation, data.test))
    return [targets for targets in stored if targets is not None and not targets.is_floating_point()]


def _call(what: str, function: Callable[[], T]) -> T:
    """function(), which is the caller's own code; what it raises becomes one line with the place in it."""
    try:
        return function()
    except HogwildError:
        raise
    except Exception as error:
        text = own_code.told(error)
        hint = "; BatchNorm needs batches of two samples or more" if ONE_VALUE in text else ""
        raise UsageError(f"{what}: {text}{hint}") from error


def _left_out(job: Job) -> list[str]:
    """A line on what the run leaves out of each epoch without having been asked to, if it does."""
    if job.config.drop_last is not None or not job.order.left_out:
        return []
    return [
        f"a batch of one sample has no statistics for BatchNorm: each epoch leaves out {job.order.left_out} of "
        f"{len(job.data.train)} samples (--drop-last false keeps them)"
    ]
