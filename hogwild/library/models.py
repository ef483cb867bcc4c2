"""The model that a caller gives: checks it, and makes it in every process."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from hogwild.errors import UsageError
from hogwild.own_code import described
from hogwild.tasks.data import Data


@dataclass(frozen=True)
class Make:
    """Adapts a model function without arguments to the interface with the data as argument."""

    model_fn: Callable[[], nn.Module]

    @property
    def __name__(self) -> str:
        return getattr(self.model_fn, "__name__", type(self.model_fn).__name__)

    def __call__(self, _data: Data) -> nn.Module:
        model = self.model_fn()
        if not isinstance(model, nn.Module):
            raise UsageError(f"model_fn must return a torch.nn.Module; it returned {described(model)}")
        return model


def require_function(model_fn: object) -> None:
    """UsageError unless `model_fn` can be called without arguments, and is no model itself."""
    if isinstance(model_fn, nn.Module):
        raise UsageError(
            f"model_fn is a model, {type(model_fn).__name__}, and must be a function that makes one, since every "
            "process makes its own: its class, or functools.partial(copy.deepcopy, model)"
        )
    if not callable(model_fn):
        raise UsageError(f"model_fn must be a function that makes the model; it is {described(model_fn)}")
    try:
        inspect.signature(model_fn).bind()
    except TypeError as error:
        name = getattr(model_fn, "__name__", "model_fn")
        raise UsageError(
            f"model_fn is called without arguments ({error}): give functools.partial({name}, ...)"
        ) from None
    except ValueError:  # some builtins have no signature
        pass
