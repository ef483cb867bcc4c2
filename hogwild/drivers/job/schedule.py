"""The schedule of a run: warm-up and steps in tickets, and the caller's own shape."""

from __future__ import annotations

import math

from hogwild import own_code
from hogwild.config import Config
from hogwild.config.schedules import Schedule, Shape
from hogwild.drivers.job.batches import Batches
from hogwild.errors import UsageError
from hogwild.own_code import described, told

TRIED = (0.0, 0.5, 1.0)


def make_schedule(config: Config, order: Batches, tickets: int, per_update: int, shape: Shape | None) -> Schedule:
    """The schedule of a run of `tickets`, of which an update takes `per_update`. `shape`: the function that
    config.schedule stands for; None: it is imported by that name.

    UsageError for a warm-up that is as long as the run, or a shape that gives no learning rate.
    """
    warmup, asked = None, ""
    if config.warmup_updates is not None:
        warmup, asked = config.warmup_updates * per_update, f"warmup_updates {config.warmup_updates}"
    if config.warmup_samples is not None:
        warmup, asked = order.tickets_for(config.warmup_samples), f"warmup_samples {config.warmup_samples}"
    if warmup is not None and warmup >= tickets:
        raise UsageError(f"{asked} is not below the run's whole length: give a shorter warm-up, or a longer run")
    milestones = None
    if config.step_epochs:
        milestones = tuple(epoch * order.tickets_per_epoch / tickets for epoch in config.step_epochs)
    if shape is None and ":" in config.schedule:
        shape = _import(config.schedule)
    if shape is not None:
        _check(shape, config.schedule)
    return Schedule.of(config, tickets, warmup, milestones, shape)


def _import(name: str) -> Shape:
    found = own_code.find(name, "--schedule", "module:function", "my_task:decay")
    if not callable(found):
        raise UsageError(f"--schedule {name} is {described(found)}, not a function")
    return found


def _check(shape: Shape, name: str) -> None:
    """UsageError unless the shape gives a factor at the beginning, in the middle and at the end."""
    for progress in TRIED:
        try:
            factor = shape(progress)
        except Exception as error:  # the caller's own code
            raise UsageError(f"schedule {name} fails at progress {progress:g}: {told(error)}") from error
        try:
            is_fit = 0 <= float(factor) < math.inf
        except (TypeError, ValueError):
            is_fit = False
        if not is_fit:
            raise UsageError(
                f"schedule {name} gives {described(factor)} at progress {progress:g}; it must give the factor on lr, a "
                "number >= 0"
            )
