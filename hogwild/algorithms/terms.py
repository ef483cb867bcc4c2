"""The terms that a class must meet to be an algorithm: a built-in one, one of a package, or the user's own."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import MISSING

from hogwild import own_code
from hogwild.algorithms.base import Algorithm
from hogwild.buffers import Buffer, Scope
from hogwild.errors import UsageError
from hogwild.options import accept, kind, kinds


def check(cls: object, called: str) -> type[Algorithm]:
    """`cls`, which is an algorithm. UsageError with the first thing that is wrong with it; `called`: for the message.

    It is a frozen dataclass with a name, buffers and a generator `worker`; its fields are options with a default, of
    types that the command line can convert. A docstring is not asked for.
    """
    if not (isinstance(cls, type) and issubclass(cls, Algorithm)):
        what = f"class {cls.__name__}" if isinstance(cls, type) else own_code.described(cls)
        raise UsageError(f"algorithm {called} is {what}: derive a class from hogwild.algorithms.base.Algorithm")
    for problem in _problems(cls):
        raise UsageError(f"algorithm {called}: {problem}")
    return cls


def _problems(cls: type[Algorithm]) -> Iterator[str]:
    if inspect.isabstract(cls):
        yield f"it has no {', '.join(sorted(cls.__abstractmethods__))}"
    parameters = vars(cls).get("__dataclass_params__")
    if parameters is None or not parameters.frozen:
        yield "it is no frozen dataclass: write @dataclass(frozen=True) above it"
    if not isinstance(getattr(cls, "name", None), str) or not cls.name:
        yield 'it has no name: name: ClassVar[str] = "mine"'
    buffers = getattr(cls, "buffers", None)
    if not isinstance(buffers, Mapping):
        yield 'it has no buffers: buffers: ClassVar[Mapping[str, Buffer]] = {"x": SHARED, "snapshot": SNAPSHOT}'
    elif "x" not in buffers:
        yield f"its buffers have no 'x', the shared parameters; they are {', '.join(map(str, buffers)) or 'none'}"
    elif strange := [name for name, buffer in buffers.items() if not isinstance(buffer, Buffer)]:
        yield f"buffer {strange[0]!r} is {buffers[strange[0]]!r}: declare it with hogwild.buffers.Buffer, or SHARED"
    elif buffers["x"].scope is not Scope.SHARED:
        yield f"buffer 'x' has scope {buffers['x'].scope.value}: the master is shared"
    if not inspect.isgeneratorfunction(cls.worker):
        yield "worker is no generator: it yields Gradient(at=...) where a gradient is computed"
    for name, field in cls.options().items():
        if kind(field) not in kinds():
            yield f"option {name} is of type {kind(field)}, and options can be {'; '.join(kinds())}"
        if field.default is MISSING:
            yield f"option {name} needs a default"
        try:
            accept(field, field.default)
        except UsageError as error:
            yield f"the default of option {error}"
    try:
        cls()
    except (TypeError, ValueError) as error:
        yield f"it refuses its own defaults: {error}"
