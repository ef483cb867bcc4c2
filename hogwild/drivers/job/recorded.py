"""Data and groups of a run that a command goes on with or evaluates, made again from the names that the run records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from hogwild.config import Config
from hogwild.drivers.job.groups import GroupFn
from hogwild.errors import UsageError
from hogwild.own_code import is_name
from hogwild.tasks import load, own
from hogwild.tasks.data import Data
from hogwild.tasks.objectives import cross_entropy, mean_squared_error
from hogwild.tasks.own_metrics import from_record, with_metrics


def recorded(config: Config, recipe: Mapping[str, Any], *, chooses_best: bool = True) -> tuple[Data, GroupFn | None]:
    """The data that `config` names, with the loss and the metrics of the `recipe` (RunDirectory.read_recipe), and the
    parameter groups. UsageError naming what has no name to import, and what to give in its place. chooses_best: the
    run goes on, and needs the metric that chooses the checkpoint best.
    """
    data = load(config.data, config.data_dir)
    changes: dict[str, Any] = {name: recipe[name] for name in ("metric", "maximize") if name in recipe}
    brings_loss = data.loss not in (cross_entropy, mean_squared_error)
    if "loss_fn" in recipe and not (brings_loss and not is_name(recipe["loss_fn"])):
        changes["loss"] = _function(recipe, "loss_fn", OF_DATA)
    if "step_fn" in recipe and data.step is None:
        changes["step"] = _function(recipe, "step_fn", OF_DATA)
        if "score_fn" not in recipe:
            changes["score"] = None
    if "score_fn" in recipe and not (brings_loss and not is_name(recipe["score_fn"])):
        changes["score"] = score = _function(recipe, "score_fn", OF_DATA)
        changes.setdefault("metric", getattr(score, "__name__", "score"))
        changes.setdefault("maximize", None)
    groups = _function(recipe, "groups", "go on with hogwild.fit(..., resume=RUN)") if "groups" in recipe else None
    return _measured(replace(data, **changes) if changes else data, recipe, chooses_best=chooses_best), groups


def _measured(data: Data, recipe: Mapping[str, Any], *, chooses_best: bool) -> Data:
    """`data` with the metrics of the recipe; what has no name to import is left out, with a line in `data.lines`."""
    specs = {name: spec for name, spec in recipe.get("metrics", {}).items() if name not in data.metrics}
    metrics, lines = from_record(specs)
    monitor = recipe.get("monitor")
    chosen = monitor or next(iter(specs), "loss")
    if chosen in specs and chosen not in metrics:
        if chooses_best:
            raise UsageError(f"metric {chosen} chooses the checkpoint best, and has no name to import: {OF_DATA}")
        monitor = None
    metrics = {**data.metrics, **metrics}
    data = replace(data, lines=(*data.lines, *lines))
    if not metrics and monitor is None:
        return data
    return with_metrics(data, metrics or None, monitor, recipe.get("maximize"))


OF_DATA = "let --data module:function return hogwild.tasks.Data, with its loss, score and metrics"


def _function(recipe: Mapping[str, Any], name: str, remedy: str) -> Callable[..., Any]:
    spec = str(recipe[name])
    if not is_name(spec):
        place, _, what = spec.rpartition(":")
        raise UsageError(f"{name} of this run was {what} of {place}, which has no name to import: {remedy}")
    return own.resolve(spec, name)
