"""`hogwild.fit`: trains a model on a data set."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from hogwild.algorithms import Algorithm
from hogwild.drivers.callbacks.callback import Callback
from hogwild.drivers.job.groups import GroupFn
from hogwild.drivers.job.job import make_job
from hogwild.library.metric import with_metric
from hogwild.library.models import Make, require_function
from hogwild.library.result import Result
from hogwild.library.run import run
from hogwild.library.settings import config_of, recipe_of, with_algorithm
from hogwild.library.surroundings import require_importable, require_main
from hogwild.shared.seeds import own_generators
from hogwild.tasks.data import Data
from hogwild.tasks.own import FIT
from hogwild.tasks.pairs import to_data


def fit(
    model_fn: Callable[[], nn.Module],
    dataset: Any,
    loss_fn: Callable[[Any, Any], Tensor] | None = None,
    *,
    score_fn: Callable[[Any, Any], tuple[float, int]] | None = None,
    metric: str | None = None,
    maximize: bool | None = None,
    algorithm: str | type[Algorithm] | Algorithm = "asgd",
    options: Mapping[str, object] | None = None,
    groups: GroupFn | None = None,
    workers: int | None = None,
    callbacks: Sequence[Callback] = (),
    resume: str | os.PathLike[str] | None = None,
    quiet: bool | None = None,
    **values: Any,
) -> Result:
    """Trains `model_fn()` on `dataset` with `workers` processes on one shared model.

    Before the first update one batch goes through model, loss and metric, and what does not fit is refused. The global
    random generators of torch, NumPy and Python are as they were when this returns.

    Args:   model_fn: makes the model; a function at module level, called in every process.
            dataset: a pair (train, test) of map-style torch data sets or of (inputs, targets) tensors or NumPy arrays,
            or hogwild.tasks.Data. test None: there are no evaluations.
            loss_fn: (output, target) -> scalar mean loss; default cross-entropy on class numbers.
            score_fn, metric: (output, target) -> (sum, count), and the name of their ratio, by default that of the
            function. Without them accuracy or mean squared error, where it fits the loss; else the loss alone.
            maximize: whether a larger metric is better, for the checkpoint `best`; default: by the metric's name.
            algorithm: its name, "module:Class", or your own: a class, or an instance, which has its options.
            groups: (name, parameter) -> {"lr": factor, "weight_decay": wd}, or a part of it: what a parameter has of
            its own, in place of lr and of weight_decay and no_decay. With lr 0 it is not trained, at no cost. A
            function at module level, called in every process.
            options: of the algorithm; those that no keyword of this function has the name of may be keywords too.
            callbacks: hogwild.Callback objects, which the parent calls on consistent copies of the model.
            quiet: no progress, only warnings; None: no progress unless a terminal or a notebook shows it.
            resume: a run directory to go on with. Model, data and functions are given again as they were; of the
            options, those that are not given stay as they were.
            values: any option of `hogwild train` (lr=, epochs=, batch_size=, access=, out=, seed=, ...) and of the
            algorithm (momentum=, ...).
    Raises: HogwildError (hogwild.errors) as the command line would report it.
    """
    require_main("hogwild.fit")
    require_function(model_fn)
    recipe = recipe_of({"loss_fn": loss_fn, "score_fn": score_fn, "groups": groups}, metric=metric, maximize=maximize)
    with own_generators():
        data = with_metric(to_data(dataset, "dataset"), isinstance(dataset, Data), score_fn, metric, maximize)
        if loss_fn is not None:
            data = replace(data, loss=loss_fn)
        values = {"workers": workers, "quiet": quiet, "resume": resume, **with_algorithm(algorithm, options, values)}
        config = config_of(model_fn, FIT, values)
        if config.clock is None:
            parts = dict(zip(("train", "test"), dataset, strict=False)) if isinstance(dataset, (tuple, list)) else {}
            require_importable({"model_fn": model_fn, "loss_fn": loss_fn, "groups": groups, **parts})
        return run(replace(make_job(config, data, Make(model_fn), groups), callbacks=callbacks), recipe)
