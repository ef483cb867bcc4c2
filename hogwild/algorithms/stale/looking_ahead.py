"""The factor l of a look-ahead by momentum, x <- x - lr (v' + l (v' - v)), where an algorithm lets it be chosen."""

from __future__ import annotations

from hogwild.algorithms.base import option
from hogwild.rules import Nesterov


def ahead_option() -> float | None:
    return option(
        None,
        "factor l of the look-ahead in place of m, which is Nesterov's; 0: heavy ball",
        check=(lambda value: value >= 0, "a number >= 0"),
    )


def looking_ahead(momentum: float, ahead: float | None) -> Nesterov:
    """The rule; l is m unless `ahead` says another."""
    return Nesterov(momentum, lead=0.0 if ahead is None else ahead - momentum)
