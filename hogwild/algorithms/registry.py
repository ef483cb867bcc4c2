"""An algorithm by its name. This is the one place that knows which names there are.

    asgd            built in (hogwild.algorithms.REGISTRY)
    mine            the class itself says so: hogwild.register, in this process
    mine            an installed package says so: its entry point mine = "package.module:Mine" of the group GROUP
    module:Class    any class that can be imported, from the current directory too

Every class is held to the same terms, `check`, when its name is resolved. No torch is imported here, and a package's
entry point is imported only when its algorithm is asked for, or when all of them are listed.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from hogwild import own_code
from hogwild.algorithms import REGISTRY
from hogwild.algorithms.base import Algorithm
from hogwild.algorithms.terms import check
from hogwild.errors import UsageError
from hogwild.options import unknown

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "hogwild.algorithms"
NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
OWN = "your own: module:Class"

A = TypeVar("A", bound=type[Algorithm])
_registered: dict[str, type[Algorithm]] = {}
_own: dict[str, type[Algorithm]] = {}  # "module:Class" -> the class, so that it is not imported a second time


def find(name: str) -> type[Algorithm]:
    """The algorithm of that name. UsageError, in one line, if there is none or it does not keep the terms."""
    for known in (REGISTRY, _registered, _own):
        if name in known:
            return known[name]
    if ":" in name:
        _own[name] = check(own_code.find(name, "--algorithm", "module:Class", "my_algorithms:Mine"), name)
        return _own[name]
    if name in _plugins():
        return _load(name)
    raise unknown("algorithm", name, names(), OWN)


def register(cls: A) -> A:
    """Make `cls` known under its `name` in this process; returns it, so it is a decorator too.

    UsageError if it does not keep the terms or the name is taken. A class that is defined again takes the place of
    itself.
    """
    check(cls, cls.__qualname__ if isinstance(cls, type) else repr(cls))
    if not NAME.fullmatch(cls.name):
        raise UsageError(f"algorithm name {cls.name!r} must be letters, digits, '-', '_' and '.'")
    before = _registered.get(cls.name) or REGISTRY.get(cls.name)
    is_same = before is not None and _home(before) == _home(cls)
    if not is_same and (before is not None or cls.name in _plugins()):
        owner = _plugins()[cls.name].value if before is None else ":".join(_home(before))
        raise UsageError(f"the algorithm name {cls.name!r} is taken by {owner}: give {cls.__qualname__} another")
    _registered[cls.name] = cls
    return cls


def reference(algorithm: str | type[Algorithm]) -> str:
    """The name under which another process finds the algorithm too; config.yaml holds it.

    A class, or what was registered in this process alone, becomes module:Class. The main script's module is named by
    its file. UsageError if it cannot be imported elsewhere.
    """
    cls = _registered.get(algorithm) if isinstance(algorithm, str) else algorithm
    if cls is None:
        return str(algorithm)
    if REGISTRY.get(getattr(cls, "name", "")) is cls:
        return cls.name
    module, name = _home(check(cls, getattr(cls, "__qualname__", repr(cls))))
    if module in ("__main__", "__mp_main__"):
        module = _name_of_main(cls)
    if not name.isidentifier():
        raise UsageError(f"algorithm {name}: worker processes cannot import it, define it at module level in a file")
    _own[f"{module}:{name}"] = cls
    return f"{module}:{name}"


def names() -> list[str]:
    """Every name there is, without importing what it stands for."""
    return list(dict.fromkeys([*REGISTRY, *_registered, *_plugins()]))


def known() -> Mapping[str, type[Algorithm]]:
    """Every algorithm with a name. A package's that cannot be loaded is left out, with one line of warning."""
    found = {**REGISTRY, **_registered}
    for name in _plugins():
        try:
            found[name] = _load(name)
        except UsageError as error:
            logging.getLogger("hogwild").warning("hogwild: warning: %s", " ".join(str(error).split()))
    return found


def loaded() -> Mapping[str, type[Algorithm]]:
    """Every algorithm that is in this process already."""
    return {**REGISTRY, **_registered, **_own}


@cache
def _plugins() -> Mapping[str, EntryPoint]:
    """Entry points by name. What is built in cannot be replaced."""
    from importlib.metadata import entry_points  # takes longer than --help may

    return {point.name: point for point in entry_points(group=GROUP) if point.name not in REGISTRY}


def _load(name: str) -> type[Algorithm]:
    point = _plugins()[name]
    try:
        cls = check(point.load(), point.value)
    except UsageError as error:
        raise UsageError(f"plug-in {name} = {point.value}: {error}") from error
    except Exception as error:  # a package's own code runs here
        reason = f"{type(error).__name__}: {error}"
        raise UsageError(f"plug-in {name} = {point.value} cannot be loaded: {reason}") from error
    if cls.name != name:
        raise UsageError(f"plug-in {name} = {point.value}: the class calls itself {cls.name!r}")
    return cls


def _home(cls: type[Algorithm]) -> tuple[str, str]:
    return cls.__module__, cls.__qualname__


def _name_of_main(cls: type[Algorithm]) -> str:
    main = sys.modules["__main__"]
    if (spec := getattr(main, "__spec__", None)) is not None:
        return str(spec.name)
    if (file := getattr(main, "__file__", None)) is not None:
        return Path(file).stem
    raise UsageError(f"algorithm {cls.__qualname__}: worker processes cannot import it, define it in a file")
