"""The model that a caller gives: checks it, and makes it in every process."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from hogwild.errors import UsageError
from hogwild.own_code import described
from hogwild.tasks.data import Data


@dataclass(frozen=True)
class Make:
    """Adapts a model, or a function that makes one, to the interface with the data as argument. Of a model, each call
    gives a copy.
    """

    model_fn: Callable[[], nn.Module] | nn.Module

    @property
    def __name__(self) -> str:
        return getattr(self.model_fn, "__name__", type(self.model_fn).__name__)

    def __call__(self, _data: Data) -> nn.Module:
        if isinstance(self.model_fn, nn.Module):
            return copy.deepcopy(self.model_fn)
        model = self.model_fn()
        if not isinstance(model, nn.Module):
            raise UsageError(f"model_fn must return a torch.nn.Module; it returned {described(model)}")
        return model


def require_function(model_fn: object) -> None:
    """UsageError unless `model_fn` is a model, or can be called without arguments."""
    if isinstance(model_fn, nn.Module):
        return
    if not callable(model_fn):
        raise UsageError(
            f"the model must be a torch.nn.Module or a function that makes it; it is {described(model_fn)}"
        )
    try:
        inspect.signature(model_fn).bind()
    except TypeError as error:
        name = getattr(model_fn, "__name__", "model_fn")
        raise UsageError(
            f"model_fn is called without arguments ({error}): give functools.partial({name}, ...)"
        ) from None
    except ValueError:  # some builtins have no signature
        pass
