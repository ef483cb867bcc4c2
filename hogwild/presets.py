"""Sensible values for a data set, and the learning rate that follows from them for an algorithm and a delay."""

from __future__ import annotations

from dataclasses import dataclass

from hogwild.algorithms.base import Algorithm
from hogwild.errors import UsageError


@dataclass(frozen=True)
class Preset:
    """Sensible values for a data set. `lr` is for plain SGD: momentum m and dampening d scale it by (1-m)/(1-d)."""

    epochs: float = 2.0
    batch_size: int = 64
    lr: float = 0.05


PRESETS = {"digits": Preset(epochs=20.0, batch_size=32, lr=0.1)}


def default_lr(preset: Preset, algorithm: Algorithm) -> float:
    """The data set's lr, at the same effective rate: times (1 - m) / (1 - d)."""
    momentum, dampening = (float(getattr(algorithm, name, 0.0)) for name in ("momentum", "dampening"))
    return preset.lr * (1 - momentum) / max(1 - dampening, 1 - momentum)


def stable_lr(preset: Preset, algorithm: Algorithm, workers: int) -> float:
    """The lr that keeps exactly the minima stable that plain SGD without delay has at the data set's lr.

    With N asynchronous workers the mean delay is N - 1 (hogwild.theory.stability.learning_rate, `effective`).
    """
    if algorithm.stability_rule is None:
        raise UsageError(f"--lr auto: no stability theory is known for algorithm {algorithm.name}; give a number")
    from hogwild.theory import stability

    momentum, dampening = (float(getattr(algorithm, name, 0.0)) for name in ("momentum", "dampening"))
    delay = 0 if algorithm.barriers_per_round else workers - 1
    rule = algorithm.stability_rule if momentum else "none"
    rates = stability.learning_rate(preset.lr, delay, momentum, dampening, rule, sync_momentum=0.0, sync_dampening=0.0)
    return rates.effective
