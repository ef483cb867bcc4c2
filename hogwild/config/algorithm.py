"""Makes the algorithm of a run from its name and its own options."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

from hogwild.algorithms import registry
from hogwild.algorithms.base import Algorithm
from hogwild.errors import UsageError
from hogwild.options import accept, unknown

OF_COMMANDS = (
    "help", "config", "trust", "options", "algorithms", "clocks", "workers_list", "vary", "tune", "seeds",
    "lr_over_delay", "jobs", "directory",
)  # fmt: skip
"""Flags of commands that are not options of a run."""


def options_of(algorithm: str, taken: Collection[str]) -> Mapping[str, dataclasses.Field[Any]]:
    """The algorithm's own options. UsageError if there is no such algorithm, or if one of its options has a name in
    `taken`, the options of every run.
    """
    found = registry.find(algorithm).options()
    for name in found:
        if name in taken or name in OF_COMMANDS:
            raise UsageError(f"algorithm {algorithm}: its option {name!r} is also an option of every run: rename it")
    return found


def make(name: str, options: Mapping[str, object], taken: Collection[str]) -> tuple[Algorithm, dict[str, object]]:
    """Returns the algorithm with the given options, and the options converted to their types.

    UsageError for an unknown algorithm or option, a value of a wrong type, or a value that the algorithm refuses.
    """
    known = options_of(name, taken)
    for option in options:
        if option not in known:
            raise _stranger(name, option, list(known), taken)
    converted = {option: accept(known[option], value) for option, value in options.items()}
    try:
        return registry.find(name)(**converted), converted
    except (TypeError, ValueError, ArithmeticError) as error:
        raise UsageError(f"algorithm {name}: {error}") from None


def _stranger(name: str, option: str, known: Collection[str], taken: Collection[str]) -> UsageError:
    if why := registry.find(name).refuses.get(option):
        return UsageError(f"algorithm {name} has no option {option!r}: {why}")
    owners = [other for other, that in registry.loaded().items() if option in that.options()]
    if not owners:
        return unknown("option", option, [*taken, *known])
    has, others = ", ".join(known) or "none", ", ".join(owners)
    return UsageError(f"algorithm {name} has no option {option!r}; it has: {has}. Known to: {others}")
