"""How long a run trains: the options that limit it, and laying one set of values over another."""

from __future__ import annotations

from collections.abc import Mapping

LIMITS = ("epochs", "samples", "updates")
"""At most one of them is set."""


def override(lower: Mapping[str, object], upper: Mapping[str, object]) -> dict[str, object]:
    """`upper` on top of `lower`. A limit (epochs, samples, updates) in `upper` replaces whichever limit `lower` has."""
    if any(upper.get(limit) is not None for limit in LIMITS):
        lower = {name: value for name, value in lower.items() if name not in LIMITS}
    return {**lower, **upper}
