"""The user's own code: loads it by its name, `module:attribute` or `file.py:attribute` (a data set, a model, an
algorithm), finds that name, and tells what it raises.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import os
import sys
import sysconfig
import traceback
from pathlib import Path
from types import ModuleType

from hogwild.errors import UsageError
from hogwild.text import cut

MESSAGE_LIMIT = 300
_HERE, _STDLIB = (f"{folder}{os.sep}" for folder in (Path(__file__).parent, sysconfig.get_path("stdlib")))
_INSTALLED = ("site-packages", "dist-packages")  # folders of packages


_importing: list[str] = []  # what `find` is importing


def find(spec: str, option: str, form: str, example: str) -> object:
    """Imports the object named by `spec`, "module:attribute" or "file.py:attribute". The current directory is searched
    too, and that of the file.

    `option`, `form` and `example` are for the messages: "--model", "module:function", "my_task:make_model".
    Errors: UsageError (wrong form, no such module, no such attribute). An exception that the module raises while it is
            imported is passed on unchanged, because its author needs the traceback.
    """
    module_name, _, attribute = spec.rpartition(":")
    if not module_name or not attribute.isidentifier():
        raise UsageError(f"{option} {spec}: write {form}, for example {example}")
    file = Path(module_name) if module_name.endswith(".py") else None
    if file is not None:
        if not file.is_file():
            raise UsageError(f"{option} {spec}: there is no file {file}: say where it is, {option} {form}")
        module_name = file.stem
    here = os.getcwd() if file is None else str(file.resolve().parent)
    if here not in sys.path:
        sys.path.insert(0, here)  # worker processes inherit the search path
        importlib.invalidate_caches()
    try:
        module = _imported(module_name, spec)
    except ModuleNotFoundError as error:
        if error.name is None or not (module_name == error.name or module_name.startswith(error.name + ".")):
            raise
        raise UsageError(f"{option} {spec}: no module {error.name!r} in {here} or on PYTHONPATH") from error
    if file is not None and Path(module.__file__ or "").resolve() != file.resolve():
        raise UsageError(
            f"{option} {spec}: another module is called {module_name!r}: {module.__file__}; rename the file"
        )
    if not hasattr(module, attribute):
        near = difflib.get_close_matches(attribute, dir(module), n=1)
        guess = f" Did you mean {near[0]!r}?" if near else ""
        raise UsageError(f"{option} {spec}: {module.__file__ or module_name} has no {attribute!r}.{guess}")
    return getattr(module, attribute)


def _imported(module_name: str, spec: str) -> ModuleType:
    _importing.append(spec)
    try:
        return importlib.import_module(module_name)
    finally:
        _importing.pop()


def require_not_importing(call: str) -> None:
    """UsageError if `call` runs because its script is being imported for something else that it defines."""
    if _importing:
        file = _importing[-1].rpartition(":")[0]
        raise UsageError(f"{call} is called while {file} is imported: put the call under if __name__ == '__main__'")


def name_of(value: object) -> str:
    """The name by which `find` finds that function or class, "module:attribute"; of the main script
    "file.py:attribute". For an object without such a name the part after the colon says what it is, as
    "module:<lambda>".
    """
    if isinstance(value, functools.partial):
        return f"{name_of(value.func).replace(':', ':<partial of ')}>"
    module = getattr(value, "__module__", None) or type(value).__module__
    name = getattr(value, "__qualname__", None)
    if name is None:
        return f"{module}:<{type(value).__qualname__} object>"
    file = getattr(sys.modules.get("__main__"), "__file__", None) if module == "__main__" else None
    place = str(Path(file).resolve()) if file is not None and file.endswith(".py") else module
    is_found = place != "__main__" and getattr(sys.modules.get(module), name, None) is value
    return f"{place}:{name}" if is_found or not name.isidentifier() else f"{place}:<{name}>"


def is_name(spec: str) -> bool:
    """Whether `spec` of `name_of` is one that can be imported."""
    return spec.rpartition(":")[2].isidentifier()


def described(value: object) -> str:
    """`int 3`, for a message that something else was expected."""
    return f"{type(value).__name__} {' '.join(repr(value).split()):.40}"


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
