"""Options: type, check, help text and error message, the same for flags, YAML files and Python callers.

An option is a dataclass field. Its metadata holds `help` and, optionally, `choices` and `check`. The fields of
hogwild.config.Config and the fields of every algorithm are options; flags and help texts are made from them.
"""

from __future__ import annotations

import difflib
import math
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import Field, field
from typing import Any

from hogwild.errors import UsageError
from hogwild.text import cut, quoted

INT_LIMIT = 1 << 63
"""Counts go into 64-bit integers."""

Check = tuple[Callable[[Any], bool], str]
"""A predicate, and a description of the values that it allows: (lambda n: n >= 1, "an integer >= 1")."""


def option(
    group: str,
    default: object,
    help: str,
    check: Check | None = None,
    *,
    choices: Sequence[str] | None = None,
    fixed: bool = False,
) -> Any:
    """A field of Config. `fixed`: --resume may not change it."""
    return field(
        default=default, metadata={"group": group, "help": help, "check": check, "choices": choices, "fixed": fixed}
    )


def kind(field: Field[Any]) -> str:
    """The field's type as text, without ` | None`."""
    is_class = isinstance(field.type, type) and not hasattr(field.type, "__args__")  # tuple[float, ...] has arguments
    text = field.type.__name__ if is_class else str(field.type)  # type: ignore[union-attr]
    return text.removesuffix(" | None")


def kinds() -> tuple[str, ...]:
    """The types that an option may have: those that text can be converted to."""
    return tuple(name for name in _CONVERSIONS if name != "Mapping[str, object]")


def accept(field: Field[Any], value: object) -> object:
    """`value` as the field's type, checked.

    Text is converted (flags are text, and YAML reads `1e-3` as text). Raises UsageError naming the option, the value
    and the allowed values.
    """
    if value is None:
        return None
    choices = field.metadata.get("choices")
    convert, words = _CONVERSIONS[kind(field)]
    try:
        converted = convert(value)
    except (TypeError, ValueError, ArithmeticError):
        if choices is None:
            raise _refusal(field, value, words) from None
        converted = value
    if choices is not None and converted not in choices:
        names = [str(choice) for choice in choices]
        why = field.metadata.get("refused", {}).get(converted)
        hint = f" {why[0].upper()}{why[1:]}" if why else _did_you_mean(converted, names)
        raise _refusal(field, value, f"one of {', '.join(names)}.{hint}")
    check: Check | None = field.metadata.get("check")
    if check is not None and not check[0](converted):
        raise _refusal(field, value, check[1])
    return converted


def unknown(what: str, name: object, known: Iterable[str], hint: str = "") -> UsageError:
    """`unknown data set 'fashon_mnist'. Did you mean 'fashion_mnist'? Known: ...`"""
    known = list(known)
    listing = "; ".join(part for part in (", ".join(known), hint) if part)
    return UsageError(f"unknown {what} {quoted(name)}.{_did_you_mean(name, known)} Known: {listing or 'none'}.")


def _did_you_mean(name: object, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(cut(name, 100), list(known), n=1) if isinstance(name, str) else []
    return f" Did you mean {close[0]!r}?" if close else ""


def _refusal(field: Field[Any], value: object, allowed: str) -> UsageError:
    return UsageError(f"{field.name}: {quoted(value)} is not allowed; it must be {allowed.rstrip('.')}")


def _plain(value: object) -> object:
    """A NumPy number or a tensor of one element as a Python number, an array as a list, a path as text."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    convert = getattr(value, "tolist", None)
    return convert() if callable(convert) else value


def _text(value: object) -> str:
    value = _plain(value)
    if not isinstance(value, str) or not value:
        raise TypeError
    return value


def _float(value: object) -> float:
    value = _plain(value)
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise TypeError
    number = float(value)
    if not math.isfinite(number):
        raise ValueError
    return number


def _int(value: object) -> int:
    value = _plain(value)
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif isinstance(value, str) and value.strip().lstrip("+-").isdigit():
        number = int(value)
    else:
        whole = _float(value)
        if whole != int(whole):
            raise ValueError
        number = int(whole)
    if not -INT_LIMIT <= number < INT_LIMIT:
        raise ValueError
    return number


def _bool(value: object) -> bool:
    value = _plain(value)
    if isinstance(value, bool):
        return value
    words = {"true": True, "yes": True, "false": False, "no": False}
    if _text(value).lower() not in words:
        raise ValueError
    return words[_text(value).lower()]


def _floats(value: object) -> tuple[float, ...]:
    value = _plain(value)
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, (list, tuple)):
        raise TypeError
    return tuple(_float(part) for part in parts)


def _factors(value: object) -> dict[int, float]:
    if isinstance(value, dict):
        return {_int(worker): _float(factor) for worker, factor in value.items()}
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, (list, tuple)):
        raise TypeError
    pairs = [_text(part).split(":") for group in parts for part in _text(group).split(",")]
    return {_int(worker): _float(factor.removesuffix("x")) for worker, factor in pairs}


def _mapping(value: object) -> dict[str, object]:
    if not isinstance(value, dict) and value != ():
        raise TypeError
    return dict(value)  # the default () becomes an empty mapping


_CONVERSIONS: dict[str, tuple[Callable[[object], object], str]] = {
    "str": (_text, "a text (in YAML: quote it)"),
    "int": (_int, "an integer of 64 bits"),
    "float": (_float, "a finite number"),
    "bool": (_bool, "true or false"),
    "tuple[float, ...]": (_floats, "numbers: 0.5,0.75"),
    "Mapping[int, float]": (_factors, "WORKER:FACTOR, such as 0:4 (in YAML: quote it)"),
    "Mapping[str, object]": (_mapping, "a mapping"),
}
