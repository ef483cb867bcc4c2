"""The user's own data sets and models, named as `module:function`."""

from __future__ import annotations

import difflib
import importlib
import inspect
import os
import sys
from collections.abc import Callable
from typing import Any

from hogwild.errors import UsageError


def resolve(spec: str, option: str) -> Callable[..., Any]:
    """The callable named by `spec`, "module:function". The current directory is searched too.

    Errors: UsageError (not of this form, no such module, no such attribute, not callable). An exception that the module
    raises during its import passes unchanged, because its author needs the traceback.
    """
    module_name, _, attribute = spec.partition(":")
    if not module_name or not attribute.isidentifier():
        raise UsageError(f"{option} {spec}: write module:function, for example my_task:make_{option.strip('-')}")
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)  # workers inherit it
        importlib.invalidate_caches()
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not (module_name == error.name or module_name.startswith(error.name + ".")):
            raise
        raise UsageError(f"{option} {spec}: no module {error.name!r} in {here} or on PYTHONPATH") from error
    if not hasattr(module, attribute):
        near = difflib.get_close_matches(attribute, dir(module), n=1)
        guess = f" Did you mean {near[0]!r}?" if near else ""
        raise UsageError(f"{option} {spec}: {module.__file__ or module_name} has no {attribute!r}.{guess}")
    function = getattr(module, attribute)
    if not callable(function):
        raise UsageError(f"{option} {spec}: {attribute} is {_a(function)}, not a function")
    return function  # type: ignore[no-any-return]  # callable() does not narrow Any


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


def _a(value: object) -> str:
    return f"{type(value).__name__} {value!r:.40}"
