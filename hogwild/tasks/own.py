"""The user's own data sets and models, named as `module:function`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from hogwild import own_code
from hogwild.errors import UsageError

FIT, LAUNCH = "hogwild.fit:dataset", "hogwild.launch:loop"
"""The data of runs to which a Python program handed objects, or that have loops of their own, in config.yaml."""


def require_nameable(spec: str, option: str) -> None:
    """UsageError if `spec`, of a run of the library, is nothing that can be imported."""
    if spec == FIT:
        raise UsageError(
            "the data of this run were handed to hogwild.fit as objects: give --data module:function, a function that "
            "returns them"
        )
    if spec == LAUNCH:
        raise UsageError(
            "this run has loops of its own (hogwild.launch), which are no data: give --data module:function to "
            "evaluate on, and go on with it by hogwild.launch(..., resume=RUN)"
        )
    if ":" in spec and "<" in spec:
        place, _, name = spec.rpartition(":")
        raise UsageError(
            f"the {option.strip('-')} of this run was {name} of {place}, which has no name to import: give {option} "
            "module:function"
        )


def resolve(spec: str, option: str) -> Callable[..., Any]:
    """The callable that `spec`, "module:function", names (hogwild.own_code). UsageError if it is none."""
    require_nameable(spec, option)
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
