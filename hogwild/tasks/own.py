"""The user's own data sets and models, named as `module:function`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from hogwild import own_code
from hogwild.errors import UsageError

FIT, LAUNCH = "hogwild.fit:dataset", "hogwild.launch:loop"
"""The data of runs that a Python program made: what stands there has no name by which it could be found again."""


def require_nameable(spec: str) -> None:
    """UsageError if `spec` stands for what a program gave to hogwild.fit or hogwild.launch."""
    if spec in (FIT, LAUNCH):
        maker = spec.partition(":")[0]
        raise UsageError(
            f"this run was made by {maker}, which got data and model from the program that called it, and no command "
            "can make them again. Its trained model is result.model in that program; its weights by name are "
            "torch.load('RUN/ckpt/last/state.pt')['parameters']"
        )


def resolve(spec: str, option: str) -> Callable[..., Any]:
    """The callable that `spec`, "module:function", names (hogwild.own_code). UsageError if it is none."""
    function = own_code.find(spec, option, "module:function", f"my_task:make_{option.strip('-')}")
    if not callable(function):
        name = spec.partition(":")[2]
        raise UsageError(f"{option} {spec}: {name} is {own_code.described(function)}, not a function")
    return function


def call_model(function: Callable[..., Any], data: object, what: str) -> Any:
    """function(data) if it has a parameter without default or one called `data`, else function()."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # some builtins have no signature
        return function()
    named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    required = [p.name for p in named if p.default is p.empty]
    if len(required) > 1:
        raise UsageError(
            f"{what} needs {len(required)} arguments ({', '.join(required)}); it gets the data set or none"
        )
    if any(p.name == "data" for p in named):
        return function(data=data)
    return function(data) if required else function()
