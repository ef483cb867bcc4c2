"""The user's own code: loads it by its name, `module:attribute` (a data set, a model, an algorithm), and tells what it
raises.
"""

from __future__ import annotations

import difflib
import importlib
import os
import sys
import sysconfig
import traceback
from pathlib import Path

from hogwild.errors import UsageError
from hogwild.text import cut

MESSAGE_LIMIT = 300
_HERE, _STDLIB = (f"{folder}{os.sep}" for folder in (Path(__file__).parent, sysconfig.get_path("stdlib")))
_INSTALLED = ("site-packages", "dist-packages")  # folders of packages


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


def told(error: BaseException) -> str:
    """An exception of the user's code in one line: `ValueError: no such label (/home/me/task.py:12: raise
    ValueError(...))`, with its last place in a file of theirs.
    """
    try:
        message = " ".join(str(error).split())
    except Exception:  # its own __str__ fails
        message = ""
    return f"{type(error).__name__}{': ' if message else ''}{cut(message, MESSAGE_LIMIT)}{place_of(error)}"


def place_of(error: BaseException) -> str:
    """` (file:line: source)` of the last call in the user's own code, from where the exception was caught; in an
    installed package, but torch, if there is none in a file of theirs. Empty if there is neither.
    """
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_foreign(Path(frame.filename))]
    own = [frame for frame in frames if not set(_INSTALLED) & set(Path(frame.filename).parts)] or frames
    if not own:
        return ""
    source = f": {own[-1].line}" if own[-1].line else ""
    return f" ({own[-1].filename}:{own[-1].lineno}{source})"


def _is_foreign(file: Path) -> bool:
    """Whether a file belongs to neither Python, nor torch, nor hogwild."""
    name, parts = str(file), file.parts
    if any(folder in parts for folder in _INSTALLED) and not name.startswith(_HERE):
        return "torch" not in parts
    return not name.startswith((_HERE, _STDLIB, "<frozen"))
