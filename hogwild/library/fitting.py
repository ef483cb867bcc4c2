"""`hogwild.fit`: trains a model on a data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from numbers import Integral
from os import PathLike, fspath
from typing import Any

from torch import Tensor, nn
from typing_extensions import Unpack

from hogwild.algorithms import Algorithm
from hogwild.drivers.callbacks.callback import Callback
from hogwild.drivers.job.groups import GroupFn
from hogwild.drivers.job.job import make_job
from hogwild.errors import UsageError
from hogwild.library.datasets import data_of, with_validation
from hogwild.library.metric import with_score
from hogwild.library.models import Make, require_function
from hogwild.library.options import FitOptions
from hogwild.library.result import Result
from hogwild.library.run import run
from hogwild.library.settings import config_of, recipe_of, shape_of, with_algorithm
from hogwild.library.signature import documented
from hogwild.library.surroundings import require_importable, require_main
from hogwild.own_code import described
from hogwild.shared.seeds import own_generators
from hogwild.tasks.data import Data
from hogwild.tasks.own import FIT
from hogwild.tasks.own_metrics import with_metrics
from hogwild.tasks.steps import StepFn


@documented(FitOptions)
def fit(
    model: Callable[[], nn.Module] | nn.Module,
    dataset: Any,
    loss_fn: Callable[[Any, Any], Tensor] | None = None,
    *,
    step_fn: StepFn | None = None,
    validation: Any = None,
    collate_fn: Callable[[list[Any]], Any] | None = None,
    eval_batch_size: int | None = None,
    metrics: Mapping[str, object] | None = None,
    monitor: str | None = None,
    maximize: bool | None = None,
    score_fn: Callable[[Any, Any], tuple[float, int]] | None = None,
    metric: str | None = None,
    algorithm: str | type[Algorithm] | Algorithm = "asgd",
    options: Mapping[str, object] | None = None,
    groups: GroupFn | None = None,
    init_from: str | PathLike[str] | Mapping[str, Tensor] | None = None,
    workers: int | None = None,
    callbacks: Sequence[Callback] = (),
    resume: str | PathLike[str] | None = None,
    quiet: bool | None = None,
    **values: Unpack[FitOptions],
) -> Result:
    """Trains a model on a data set with `workers` processes on one shared model, and returns a Result.

        result = hogwild.fit(model, (train, test), workers=4, algorithm="adamw", lr=1e-3, epochs=5)

    Call it under `if __name__ == "__main__"`; models, data sets and functions must be at module level in a file, since
    every worker imports them. Before the first update one batch goes through model, loss and metrics, and what does not
    fit is refused. The global random generators of torch, NumPy and Python are as they were when this returns; in each
    worker they are seeded from `seed`, otherwise for each worker and each batch.

    Args:
        model: A function without arguments that makes the model (a class, a functools.partial), or a model: its
            parameters and buffers are the start, and it stays as it is.
        dataset: The training set, or a pair (train, test). Each is a map-style torch data set, an IterableDataset, a
            DataLoader, or (inputs, targets) as tensors or NumPy arrays. Or the name of a data set ("fashion_mnist",
            "module:function"), or hogwild.tasks.Data. A DataLoader is taken apart: data set, batch size, collate_fn and
            drop_last are kept. An IterableDataset needs __len__, or `updates` or `samples`; worker r reads every
            workers-th sample, or dataset.shard(num_shards, index) if there is such a method.
        loss_fn: (output, target) -> scalar mean loss. Default: cross-entropy for integer targets, else squared error.
        step_fn: (model, batch) -> loss, (loss, outputs) or (loss, outputs, targets): the general form, for batches that
            are no pair (inputs, targets) or models that compute their loss. The batch is what collate_fn returns, on
            the device. It is called in training and in evaluation (model.training tells), and takes the place of
            loss_fn.
        validation: A set like those of `dataset`, or a fraction of the training set. The run is then evaluated on it,
            the checkpoint `best` is chosen by it, and the test set is evaluated once, at the end.
        collate_fn: Makes a batch of a list of samples. Default: torch's default_collate.
        eval_batch_size: Samples per batch of an evaluation. Default: 500; the batch size with step_fn or collate_fn.
        metrics: name -> metric. A metric is a function (output, target) -> mean of the batch, or -> (sum, count), whose
            ratio over the whole set it is; one of hogwild.metrics (top_k(5), perplexity, auc, f1, rmse, ...);
            hogwild.metrics.whole(fn) for all predictions at once; or an object with update, compute and reset, as in
            torchmetrics. Without metrics: accuracy or mean squared error, where it fits the loss.
        monitor: The name of the metric that chooses the checkpoint `best`, or "loss". Default: the first of `metrics`.
        maximize: Whether a larger value of it is better. Default: the metric itself, or the words of its name, say so.
        score_fn, metric: One metric, (output, target) -> (sum, count), and its name: by default that of the function.
        algorithm: Its name (`hogwild list algorithms`), "module:Class", or your own: a class, or an instance, which has
            its options.
        options: Of the algorithm; most may be keywords too.
        groups: (name, parameter) -> {"lr": factor, "weight_decay": wd}, or a part of it: what a parameter has of its
            own, in place of lr and of weight_decay and no_decay. With lr 0 it is not trained, at no cost.
        init_from: Weights to begin with: a state_dict, a run directory, a checkpoint in it, or a file (.pt with a
            state_dict, .safetensors). Names and shapes must fit; no code is run to read them.
        workers: Worker processes, one thread each. Default: 2, or 1 on one usable core.
        callbacks: hogwild.Callback objects, which the parent calls on consistent copies of the model.
        resume: A run directory to go on with. Model, data and functions are given again as they were; of the options,
            those that are not given stay as they were.
        quiet: No progress, only warnings. Default: unless a terminal or a notebook shows it.
        values: The options below. `schedule` may be a function too: progress 0..1 -> factor on lr.

    Raises:
        hogwild.errors.HogwildError: as the command line would report it; UsageError, in one line, for what cannot be
            right.
    """
    require_main("hogwild.fit")
    require_function(model)
    given: dict[str, Any] = dict(values)
    functions = {
        "loss_fn": loss_fn,
        "step_fn": step_fn,
        "collate_fn": collate_fn,
        "score_fn": score_fn,
        "groups": groups,
    }
    recipe = recipe_of(functions, metrics, metric=metric, maximize=maximize, monitor=monitor)
    if eval_batch_size is not None and not (isinstance(eval_batch_size, Integral) and eval_batch_size >= 1):
        raise UsageError(f"eval_batch_size must be a number of samples >= 1; it is {described(eval_batch_size)}")
    with own_generators():
        data, name = data_of(dataset, given, collate_fn, whole=step_fn is not None, name=FIT)
        data = with_score(data, isinstance(dataset, Data) or metrics is not None, score_fn, metric, maximize)
        data = with_loss(data, loss_fn, step_fn, score_fn)
        data = with_metrics(data, metrics, monitor, maximize)
        data = with_validation(data, validation, given, collate_fn)
        given["schedule"], shape = shape_of(given.get("schedule", "constant"))
        given |= {"workers": workers, "quiet": quiet, "resume": resume}
        if init_from is not None and not isinstance(init_from, Mapping):
            if not isinstance(init_from, (str, PathLike)):
                raise UsageError(f"init_from is a state_dict, a run or a file; it is {described(init_from)}")
            given["init_from"] = fspath(init_from)
        config = config_of(model, name, with_algorithm(algorithm, options, given))
        if config.clock is None:
            parts = dict(zip(("train", "test"), dataset, strict=False)) if isinstance(dataset, (tuple, list)) else {}
            require_importable({"model": model, **functions, **parts})
        is_own = step_fn is not None or collate_fn is not None
        size = eval_batch_size or (config.batch_size if is_own else data.eval_batch)
        job = make_job(config, replace(data, eval_batch=size), Make(model), groups, shape)
        start = init_from if isinstance(init_from, Mapping) else None
        return run(replace(job, start=start, callbacks=callbacks), recipe)


def with_loss(
    data: Data, loss_fn: Callable[[Any, Any], Tensor] | None, step_fn: StepFn | None, score_fn: object
) -> Data:
    """`data` with the caller's loss, or the step that takes the place of model and loss."""
    if step_fn is None:
        return data if loss_fn is None else replace(data, loss=loss_fn)
    if loss_fn is not None:
        raise UsageError("loss_fn and step_fn are both given: step_fn returns the loss, leave loss_fn out")
    if not callable(step_fn):
        raise UsageError(f"step_fn is a function (model, batch) -> loss; it is {described(step_fn)}")
    return replace(data, step=step_fn, score=data.score if score_fn is not None else None)
