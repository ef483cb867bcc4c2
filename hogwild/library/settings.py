"""The configuration of a run that a Python program makes, from the keywords of the call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from hogwild.algorithms import Algorithm
from hogwild.algorithms.registry import reference
from hogwild.config import Config
from hogwild.errors import UsageError


def with_algorithm(
    algorithm: str | type[Algorithm] | Algorithm, options: Mapping[str, object] | None, values: Mapping[str, object]
) -> dict[str, object]:
    """`values` with the algorithm's name and its options, which come from an instance, `options` or `values`."""
    own: dict[str, object] = {}
    if isinstance(algorithm, Algorithm):
        own = {field.name: getattr(algorithm, field.name) for field in fields(algorithm)}
        own = {name: value for name, value in own.items() if value != type(algorithm).options()[name].default}
        algorithm = type(algorithm)
    given = [*own, *(options or {})]
    for name in given:
        if name in values or given.count(name) > 1:
            raise UsageError(f"{name} of the algorithm is given twice: leave one of them out")
    return {**values, **own, **(options or {}), "algorithm": reference(algorithm)}


def config_of(model_fn: Callable[..., Any], data: str, values: Mapping[str, object]) -> Config:
    name = f"{getattr(model_fn, '__module__', 'model')}:{getattr(model_fn, '__qualname__', type(model_fn).__name__)}"
    config = Config.from_values({"data": data, "model": name, **values})
    if config.resume is not None:
        raise UsageError(
            "hogwild.fit and hogwild.launch begin new runs and cannot resume one: begin with a model_fn that loads the "
            "weights that are there"
        )
    return config
