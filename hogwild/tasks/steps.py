"""One batch through a model: the loss, and what metrics compare. Either as output and loss_fn, or by the caller's own
step_fn(model, batch).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor

from hogwild.errors import UsageError
from hogwild.own_code import described

StepFn = Callable[[Any, Any], Any]
"""(model, batch) -> loss, (loss, outputs) or (loss, outputs, targets)."""


class Stepped(NamedTuple):
    """The loss of a batch, and what metrics get. Without outputs there are none to compare."""

    loss: Any
    outputs: Any = None
    targets: Any = None


def step(function: StepFn, model: Any, inputs: Any, targets: Any) -> Stepped:
    """function(model, batch). The batch is the pair (inputs, targets), or what the collate_fn made of the samples,
    where these are no pairs: then `targets` is None and `inputs` is that.

    Targets that the function does not return are the second part of a batch that is a pair, else the batch itself.
    Errors: UsageError if it returns something else than a loss, or up to three things that begin with one.
    """
    batch = inputs if targets is None else (inputs, targets)
    found = function(model, batch)
    parts = tuple(found) if isinstance(found, (tuple, list)) else (found,)
    if not 1 <= len(parts) <= 3 or not isinstance(parts[0], Tensor):
        raise UsageError(
            f"step_fn returned {described(found)}; it must be the loss, (loss, outputs) or (loss, outputs, targets)"
        )
    if len(parts) < 3:
        is_pair = isinstance(batch, (tuple, list)) and len(batch) == 2
        parts = (parts[0], parts[1] if len(parts) > 1 else None, batch[1] if is_pair else batch)
    return Stepped(*parts)


def apply(data: Any, module: Any, inputs: Any, targets: Any) -> Stepped:
    """A batch through `module` as the data set says: its step_fn, or the model's output and the loss."""
    if data.step is not None:
        return step(data.step, module, inputs, targets)
    outputs = module(inputs)
    return Stepped(data.loss(outputs, targets), outputs, targets)
