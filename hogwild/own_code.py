"""Loads the user's own code by its name, `module:attribute`: a data set, a model, an algorithm."""

from __future__ import annotations

import difflib
import importlib
import os
import sys

from hogwild.errors import UsageError


def find(spec: str, option: str, form: str, example: str) -> object:
    """Imports the object named by `spec`, "module:attribute". The current directory is searched too.

    `option`, `form` and `example` are for the messages: "--model", "module:function", "my_task:make_model".
    Errors: UsageError (wrong form, no such module, no such attribute). An exception that the module raises while it is
            imported is passed on unchanged, because its author needs the traceback.
    """
    module_name, _, attribute = spec.partition(":")
    if not module_name or not attribute.isidentifier():
        raise UsageError(f"{option} {spec}: write {form}, for example {example}")
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)  # worker processes inherit the search path
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
    return getattr(module, attribute)


def described(value: object) -> str:
    """`int 3`, for a message that something else was expected."""
    return f"{type(value).__name__} {value!r:.40}"
