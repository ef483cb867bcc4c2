"""The signature and the help text of hogwild.fit and hogwild.launch: every option of a run is one of their keywords.

Type checkers and editors see the keywords as a TypedDict (hogwild/library/options.py). Python itself, and so
`inspect.signature`, `help` and the completion of notebooks, sees what `documented` makes of the options' fields.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import Field
from textwrap import wrap
from typing import Any, TypeVar

from hogwild.algorithms.registry import loaded
from hogwild.config import FIELDS, GROUPS

F = TypeVar("F", bound=Callable[..., Any])
INDENT = "    "
WIDTH = 110


def documented(options: type) -> Callable[[F], F]:
    """A decorator: gives a function with **values the keywords of the TypedDict `options` in its signature, with their
    defaults, and their meaning in its docstring. An option of an algorithm has the default None: the algorithm's own.
    """
    types: dict[str, Any] = {}
    for one in reversed(options.__mro__):
        types |= getattr(one, "__annotations__", {})

    def decorate(function: F) -> F:
        signature = inspect.signature(function)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        rest = [p for p in signature.parameters.values() if p.kind is p.VAR_KEYWORD]
        taken = {p.name for p in own}
        keywords = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=FIELDS[name].default if name in FIELDS else None,
                annotation=getattr(kind, "__forward_arg__", kind),
            )
            for name, kind in types.items()
            if name not in taken
        ]
        function.__signature__ = signature.replace(parameters=[*own, *keywords, *rest])  # type: ignore[attr-defined]
        function.__doc__ = "\n".join([(function.__doc__ or "").rstrip(), "", *_table(types), ""])
        return function

    return decorate


def _table(names: dict[str, Any]) -> Iterator[str]:
    """The options by group, a paragraph each."""
    for group in GROUPS:
        fields = [FIELDS[name] for name in names if name in FIELDS and FIELDS[name].metadata["group"] == group]
        if fields:
            yield f"{INDENT}Options, {group}:"
        for field in fields:
            yield from _entry(field)
    yield f"{INDENT}Options of single algorithms (docs/algorithms.md explains them):"
    algorithms = {owner: cls.options() for owner, cls in loaded().items()}
    for name in names:
        if name not in FIELDS:
            owners = {owner: options[name] for owner, options in algorithms.items() if name in options}
            if owners:
                yield from _entry(next(iter(owners.values())), f" ({', '.join(owners)})")


def _entry(field: Field[Any], owners: str = "") -> Iterator[str]:
    choices = field.metadata.get("choices")
    text = str(field.metadata.get("help") or "").rstrip(".")
    if choices:
        text += f": {', '.join(map(str, choices))}"
    if not owners and field.default not in (None, ()):
        text += f" (default: {field.default})"
    lines = wrap(f"{field.name}: {text}{owners}", WIDTH, subsequent_indent=INDENT)
    yield from (INDENT * 2 + line for line in lines)
