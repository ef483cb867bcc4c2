"""Fills in the values of a configuration that were not given, and checks how all of them go together."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from hogwild.config.algorithm import make
from hogwild.config.checks import check_together
from hogwild.config.defaults import default_workers, known_model
from hogwild.config.presets import norm_defaults, of_data

if TYPE_CHECKING:
    from hogwild.config import Config

    Fields = Mapping[str, dataclasses.Field[Any]]


def complete(config: Config, put: Callable[[str, object], None], fields: Fields, *, wants_stable_lr: bool) -> None:
    """Puts a value, with `put(name, value)`, in place of each None that follows from others: from the algorithm, the
    norm, the data set. `fields`: those of Config. UsageError, in one line, for values that do not go together.
    """
    algorithm, options = make(config.algorithm, config.options, fields)
    put("options", options)
    if config.workers is None:
        put("workers", default_workers(algorithm, is_simulated=config.clock is not None))
    if config.warmup_from is None:
        is_asked = config.warmup or config.warmup_updates or config.warmup_samples
        put("warmup_from", 0.0 if is_asked and config.workers == 1 else 1.0 / config.workers)
    if config.warmup is None and (config.warmup_updates or config.warmup_samples):
        put("warmup", 0.0)
    for name, value in norm_defaults(config.norm, config.guard, algorithm.clip).items():
        if getattr(config, name) is None:
            put(name, value)
    if config.no_decay is None:
        put("no_decay", algorithm.no_decay)
    check_together(config, algorithm)
    put("model", known_model(config.data, config.model))
    if config.schedule == "step" and config.step_factor is None:
        put("step_factor", 0.1)
    for name, value in of_data(config, algorithm, wants_stable_lr=wants_stable_lr).items():
        put(name, value)
