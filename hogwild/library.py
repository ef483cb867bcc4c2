"""hogwild as a library: `fit` trains a model on a data set; `launch` runs your own loop in every worker.

As in any multiprocessing program, the model and the functions must be at module level in a file, and the call under `if
__name__ == "__main__"`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from torch import Tensor, nn

from hogwild.algorithms import Algorithm
from hogwild.algorithms.registry import reference
from hogwild.config import FIELDS, Config
from hogwild.drivers.choice import driver_for
from hogwild.drivers.job.groups import GroupFn
from hogwild.drivers.job.job import Job, make_job
from hogwild.drivers.processes.handle import Handle as Worker
from hogwild.errors import UsageError
from hogwild.own_code import described
from hogwild.runs.console import Console
from hogwild.runs.directory import RunDirectory
from hogwild.shared.seeds import own_generators
from hogwild.tasks.data import Data, NoSamples, Split
from hogwild.tasks.own import FIT, LAUNCH
from hogwild.tasks.pairs import to_data

__all__ = ["Result", "Worker", "fit", "launch"]


@dataclass(frozen=True)
class Result:
    """The result of a run: `summary` has the keys of summary.json, `model` the trained parameters, `path` the run
    directory.
    """

    summary: dict[str, Any]
    model: nn.Module
    path: str


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
    quiet: bool = True,
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
            values: any option of `hogwild train` (lr=, epochs=, batch_size=, access=, out=, seed=, ...) and of the
            algorithm (momentum=, ...).
    Raises: HogwildError (hogwild.errors) as the command line would report it.
    """
    _require_function(model_fn)
    with own_generators():
        data = _with_metric(to_data(dataset, "dataset"), isinstance(dataset, Data), score_fn, metric, maximize)
        if loss_fn is not None:
            data = replace(data, loss=loss_fn)
        values = {"workers": workers, "quiet": quiet, **_algorithm(algorithm, options, values)}
        config = _config(model_fn, FIT, values)
        return _run(make_job(config, data, Make(model_fn), groups))


def launch(
    fn: Callable[[Worker], None],
    model_fn: Callable[[], nn.Module],
    *,
    algorithm: str | type[Algorithm] | Algorithm = "asgd",
    options: Mapping[str, object] | None = None,
    groups: GroupFn | None = None,
    workers: int | None = None,
    quiet: bool = True,
    **values: Any,
) -> Result:
    """Runs `fn(worker)` in `workers` processes; each runs its own loop and calls `worker.step(loss)`.

    Shared memory, algorithm, statistics and the checkpoint at the end are as in `fit`; data, number of steps and
    evaluation are up to the caller. The learning rate is constant. Options as for `fit`.
    """
    _require_function(model_fn)
    if not callable(fn):
        raise UsageError(f"launch runs a function of the worker, (worker) -> None; it was given {described(fn)}")
    values = {"workers": workers, "quiet": quiet, "warmup": 0.0, **_algorithm(algorithm, options, values)}
    config = _config(model_fn, LAUNCH, values)
    if config.clock is not None:
        raise UsageError("launch runs your own loops in real processes: clock is for hogwild.fit")
    if config.shard != "none" or config.order != "shuffled" or config.drop_last is not None:
        raise UsageError("launch leaves the batches to your own loops: shard, order and drop_last are for hogwild.fit")
    if config.on_bad_sample != FIELDS["on_bad_sample"].default:
        raise UsageError("launch leaves the data to your own loops: on_bad_sample is for hogwild.fit")
    if config.edge_every:
        raise UsageError("launch has no data for a curvature: edge_every is for hogwild.fit")
    for name in ("amp", "compile", "cuda_graph", "channels_last"):
        if getattr(config, name) != FIELDS[name].default:
            raise UsageError(f"launch leaves the forward pass to your own loops: {name} is for hogwild.fit")
    if config.schedule != "constant" or config.warmup:
        raise UsageError("launch has no end that a schedule could run towards: schedule and warmup are for hogwild.fit")
    data = Data("own loop", _Endless(config.workers * config.batch_size), NoSamples(), (), 0, "vector")
    with own_generators():
        job = make_job(config, data, Make(model_fn), groups)
        return _run(replace(job, total_tickets=0, body=fn))


@dataclass(frozen=True)
class Make:
    """Adapts a model function without arguments to the interface with the data as argument."""

    model_fn: Callable[[], nn.Module]

    @property
    def __name__(self) -> str:
        return getattr(self.model_fn, "__name__", type(self.model_fn).__name__)

    def __call__(self, _data: Data) -> nn.Module:
        model = self.model_fn()
        if not isinstance(model, nn.Module):
            raise UsageError(f"model_fn must return a torch.nn.Module; it returned {described(model)}")
        return model


@dataclass(frozen=True)
class _Endless(Split):
    """Stands in for a data set when the caller has its own batches."""

    samples: int

    def __len__(self) -> int:
        return self.samples

    def batch(self, index: Tensor, *, train: bool) -> tuple[Any, Any]:
        raise IndexError(f"hogwild.launch has no data set (asked for {index.numel()} samples, train={train})")


def _require_function(model_fn: object) -> None:
    """UsageError unless `model_fn` can be called without arguments, and is no model itself."""
    if isinstance(model_fn, nn.Module):
        raise UsageError(
            f"model_fn is a model, {type(model_fn).__name__}, and must be a function that makes one, since every "
            "process makes its own: its class, or functools.partial(copy.deepcopy, model)"
        )
    if not callable(model_fn):
        raise UsageError(f"model_fn must be a function that makes the model; it is {described(model_fn)}")
    try:
        inspect.signature(model_fn).bind()
    except TypeError as error:
        name = getattr(model_fn, "__name__", "model_fn")
        raise UsageError(
            f"model_fn is called without arguments ({error}): give functools.partial({name}, ...)"
        ) from None
    except ValueError:  # some builtins have no signature
        pass


def _with_metric(
    data: Data,
    is_data: bool,
    score_fn: Callable[[Any, Any], tuple[float, int]] | None,
    metric: str | None,
    maximize: bool | None,
) -> Data:
    """`data` with the caller's metric, whose direction is then the caller's too, or that of its name."""
    if score_fn is None:
        if not is_data and (metric is not None or maximize is not None):
            given = "metric" if metric is not None else "maximize"
            raise UsageError(f"{given} is about the metric that score_fn computes: give score_fn too, or leave it out")
        changes = {"metric": metric, "maximize": maximize}
        return replace(data, **{name: value for name, value in changes.items() if value is not None})  # type: ignore[arg-type]
    name = getattr(score_fn, "__name__", "score")
    return replace(data, score=score_fn, metric=metric or (name if name.isidentifier() else "score"), maximize=maximize)


def _algorithm(
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


def _config(model_fn: Callable[..., Any], data: str, values: Mapping[str, object]) -> Config:
    name = f"{getattr(model_fn, '__module__', 'model')}:{getattr(model_fn, '__qualname__', type(model_fn).__name__)}"
    config = Config.from_values({"data": data, "model": name, **values})
    if config.resume is not None:
        raise UsageError(
            "hogwild.fit and hogwild.launch begin new runs and cannot resume one: begin with a model_fn that loads the "
            "weights that are there"
        )
    return config


def _run(job: Job) -> Result:
    run = RunDirectory.create(job.config)
    with Console(quiet=job.config.quiet, log=run.log) as console:
        try:
            driver = driver_for(job.config)(job, run, console)
            summary = driver.run()
            run.summary(summary)
        except BaseException as error:
            run.fail(error, {})
            raise
        finally:
            run.close()
    return Result(summary, driver.module, str(run.path))
