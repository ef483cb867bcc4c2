"""The outer step of methods with local steps: along the mean of what workers send, with a rate and a momentum."""

from __future__ import annotations

from hogwild.algorithms.base import BELOW_ONE, Place, View, option
from hogwild.algorithms.elastic.options import POSITIVE


def mean_of(w: View, name: str, times: float = 1.0) -> dict[Place, float]:
    """The terms of  times * mean_j name_j  over the workers of the last barrier, for View.combine."""
    present = w.present
    return {(name, j): times / len(present) for j in present}


def outer_momentum_option(default: float, help: str = "momentum of the outer step") -> float:
    return option(default, help, check=BELOW_ONE)


def outer_lr_option(default: float, help: str = "rate a of the outer step") -> float:
    return option(default, help, check=POSITIVE)
