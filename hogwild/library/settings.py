"""The configuration of a run that a Python program makes, from the keywords of the call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from hogwild.algorithms import Algorithm
from hogwild.algorithms.registry import find, loaded, reference
from hogwild.config import FIELDS, Config
from hogwild.errors import UsageError
from hogwild.library.foreign import refusal
from hogwild.own_code import described, name_of
from hogwild.runs.console import is_watched
from hogwild.runs.resuming import find_run, resumed
from hogwild.tasks.own import FIT, LAUNCH
from hogwild.tasks.own_metrics import recorded_as


def with_algorithm(
    algorithm: str | type[Algorithm] | Algorithm, options: Mapping[str, object] | None, values: Mapping[str, object]
) -> dict[str, object]:
    """`values` with the algorithm's name and its options, which come from an instance, `options` or `values`."""
    own: dict[str, object] = {}
    if isinstance(algorithm, Algorithm):
        own = {field.name: getattr(algorithm, field.name) for field in fields(algorithm)}
        own = {name: value for name, value in own.items() if value != type(algorithm).options()[name].default}
        algorithm = type(algorithm)
    if options is not None and not isinstance(options, Mapping):
        raise UsageError(f"options of the algorithm are {{name: value}}; they are {described(options)}")
    given = [*own, *(options or {})]
    for name in given:
        if name in values or given.count(name) > 1:
            raise UsageError(f"{name} of the algorithm is given twice: leave one of them out")
    return {**values, **own, **(options or {}), "algorithm": reference(algorithm)}


def config_of(model_fn: Callable[..., Any], data: str, values: Mapping[str, object], of: str = "hogwild.fit") -> Config:
    """The configuration of a new run, or of the one that `resume` names: what is given here again replaces what it
    says, as far as it may change. UsageError for a keyword of the call `of` that is no option, with what there is
    instead.
    """
    algorithm = find(str(values["algorithm"]))
    known = {*FIELDS, *algorithm.options(), *algorithm.refuses}
    theirs = {option for other in loaded().values() for option in other.options()}
    for option in values:
        if option not in known and option not in theirs:
            raise refusal(option, [*FIELDS, *algorithm.options()], of)
    if values.get("quiet") is None:
        values = {**values, "quiet": not is_watched()}
    if values.get("resume") is None:
        return Config.from_values({"data": data, "model": name_of(model_fn), **values})
    given = {name: value for name, value in values.items() if value is not None and not _is_default(name, value)}
    if find_run(Path(str(values["resume"]))) is None:  # a box that is new in the run of others has no part of it
        given = {"data": data, "model": name_of(model_fn), **given}
    config = resumed(given)
    if (config.data == LAUNCH) != (data == LAUNCH):
        maker = LAUNCH if config.data == LAUNCH else FIT
        raise UsageError(f"{config.resume} is a run of {maker.partition(':')[0]}, which can go on with it")
    return config


def _is_default(name: str, value: object) -> bool:
    return name in FIELDS and FIELDS[name].default == value


def recipe_of(
    functions: Mapping[str, object], metrics: Mapping[str, object] | None = None, **values: object
) -> dict[str, object]:
    """What a run directory keeps of the arguments beside the options: functions and metrics by their names, other
    values as they are; what is None is left out.
    """
    found: dict[str, object] = {name: name_of(function) for name, function in functions.items() if function is not None}
    if isinstance(metrics, Mapping):
        found["metrics"] = {str(name): recorded_as(metric) for name, metric in metrics.items()}
    return {**found, **{name: value for name, value in values.items() if value is not None}}


def shape_of(schedule: object) -> tuple[str, Callable[[float], float] | None]:
    """A schedule by its name, or a function of the progress: the value of the option, and the function."""
    return (name_of(schedule), schedule) if callable(schedule) else (schedule, None)  # type: ignore[return-value]
