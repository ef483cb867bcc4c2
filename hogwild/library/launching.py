"""`hogwild.launch`: your own loop in every worker."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn
from typing_extensions import Unpack

from hogwild.algorithms import Algorithm
from hogwild.config import FIELDS, Config
from hogwild.drivers.callbacks.callback import Callback
from hogwild.drivers.instruments.evaluator import Info
from hogwild.drivers.instruments.numbers import EVALUATION
from hogwild.drivers.job.groups import GroupFn
from hogwild.drivers.job.job import MAX_TICKETS, make_job
from hogwild.drivers.processes.handle import Handle as Worker
from hogwild.errors import UsageError
from hogwild.library.models import Make, require_function
from hogwild.library.options import LaunchOptions
from hogwild.library.result import Result
from hogwild.library.run import run
from hogwild.library.settings import config_of, recipe_of, with_algorithm
from hogwild.library.signature import documented
from hogwild.library.surroundings import require_importable, require_main
from hogwild.own_code import described
from hogwild.shared.seeds import own_generators
from hogwild.tasks.data import Data, NoSamples, Split
from hogwild.tasks.own import LAUNCH

MEANINGLESS = {
    "runs your own loops in real processes": (
        "clock", "latency", "bandwidth", "record", "kill_stalled", "boxes", "box_straggler", "between_wait",
    ),
    "leaves the batches to your own loops": (
        "data_dir", "batch_size", "accumulate", "shard", "order", "drop_last", "validation",
        "takeover", "loaders",
    ),
    "leaves the data to your own loops": ("on_bad_sample",),
    "has no data for a curvature": ("edge_every",),
    "leaves the forward pass to your own loops": ("amp", "compile", "cuda_graph", "channels_last"),
    "has no passes over data (updates, eval_updates, ckpt_updates and their _seconds count without)": (
        "epochs", "samples", "eval_every", "ckpt_every", "step_epochs", "warmup_samples",
    ),
}  # fmt: skip
"""Options that mean nothing here, by the reason."""


@documented(LaunchOptions)
def launch(
    fn: Callable[..., Any],
    model_fn: Callable[[], nn.Module],
    *,
    args: Sequence[Any] = (),
    evaluate: Callable[[nn.Module, Info], Mapping[str, float]] | None = None,
    metric: str | None = None,
    maximize: bool | None = None,
    callbacks: Sequence[Callback] = (),
    resume: str | os.PathLike[str] | None = None,
    algorithm: str | type[Algorithm] | Algorithm = "asgd",
    options: Mapping[str, object] | None = None,
    groups: GroupFn | None = None,
    workers: int | None = None,
    quiet: bool | None = None,
    **values: Unpack[LaunchOptions],
) -> Result:
    """Runs `fn(worker, *args)` in `workers` processes; each runs its own loop and calls `worker.step(loss)`.

    Shared memory, algorithm, statistics, checkpoints and callbacks are as in `fit`; the data are up to the caller. What
    the loops print is shown with the rank of the worker before it, "[1] ...", and kept in its log, workers/1.log.

    Args:   fn: the loop; at module level in a file. worker is a hogwild.Worker; what fn returns is in
            result.returns[rank], if it can be pickled (tensors: on the CPU).
            args: sent to every worker.
            evaluate: (model, info) -> {name: number}, in this process, on a consistent copy in evaluation mode without
            gradients: at the end, and every eval_updates updates or eval_seconds seconds. info has updates, samples
            and seconds. The workers go on meanwhile.
            metric, maximize: which of these numbers decides on the checkpoint `best` (default: the first one), and
            whether a larger one is better (default: by its name).
            updates: the end of the run, for all workers of all boxes together; a schedule and a warm-up need it.
            Without it the run ends when all loops have returned.
            between: under torchrun, how its boxes train together; worker.box and worker.boxes say which one it is. Box
            0 calls evaluate while the run goes on, and every box at the end, with the mean of all models.
            quiet: no progress and no prints; None: no progress unless a terminal or a notebook shows it.
            resume: a run of launch to go on with: the model, the algorithm's state and the counts. The loops begin
            anew: worker.version says where.
            callbacks, algorithm, options, groups, values: as for `fit`.
    Raises: UsageError for options that mean nothing here; HogwildError as `fit`.
    """
    require_main("hogwild.launch")
    require_function(model_fn)
    if not callable(fn):
        raise UsageError(f"launch runs a function of the worker, (worker) -> None; it was given {described(fn)}")
    if not isinstance(args, (tuple, list)):
        raise UsageError(f"args is a list of the arguments behind the worker; it is {described(args)}")
    given: dict[str, Any] = dict(values)
    _refuse_meaningless(given)
    warmup = {"warmup": None if given.get("updates") else 0.0}
    given = {"workers": workers, "quiet": quiet, "resume": resume, **with_algorithm(algorithm, options, given)}
    config = config_of(model_fn, LAUNCH, {**warmup, **given}, "hogwild.launch")
    _check(config, evaluate, metric)
    require_importable({"fn": fn, "model_fn": model_fn, "groups": groups})
    data = Data(
        "own loop", _Endless(config.workers * config.batch_size), NoSamples(), (), 0, "vector", metric or "", maximize
    )
    recipe = recipe_of({"loop": fn, "evaluate": evaluate, "groups": groups}, metric=metric, maximize=maximize)
    with own_generators():
        job = make_job(config, data, Make(model_fn), groups)
        total = job.total_tickets if config.updates else MAX_TICKETS
        body = Body(fn, tuple(args))
        job = replace(job, total_tickets=total, body=body, evaluate=evaluate, callbacks=callbacks)
        return run(job, recipe, shows_prints=quiet is not True)


def _refuse_meaningless(values: Mapping[str, object]) -> None:
    """UsageError for the first of the values that means nothing in a loop of one's own."""
    for why, names in MEANINGLESS.items():
        for name in names:
            if values.get(name) is not None and values[name] != FIELDS[name].default:
                raise UsageError(f"launch {why}: {name} is for hogwild.fit")


def _check(config: Config, evaluate: object, metric: str | None) -> None:
    """UsageError for options that lack what they need."""
    if metric in EVALUATION:
        raise UsageError(f"metric is {metric!r}, which the run records itself: call it otherwise in evaluate")
    if not config.updates and (config.schedule != "constant" or config.warmup or config.warmup_updates):
        raise UsageError("launch has no end that a schedule or a warm-up could run towards: give updates=N")
    if evaluate is None and (config.eval_updates or config.eval_seconds):
        raise UsageError("launch has no test set to evaluate on: give evaluate=, a function of (model, info)")
    if evaluate is not None and not _takes_two(evaluate):
        raise UsageError(f"evaluate is a function (model, info) -> {{name: number}}; it is {described(evaluate)}")


def _takes_two(function: object) -> bool:
    if not callable(function):
        return False
    try:
        inspect.signature(function).bind(None, None)
    except TypeError:
        return False
    except ValueError:  # some builtins have no signature
        pass
    return True


@dataclass(frozen=True)
class Body:
    """The caller's loop, with its arguments."""

    fn: Callable[..., Any]
    args: tuple[Any, ...]

    def __call__(self, worker: Worker) -> Any:
        return self.fn(worker, *self.args)


@dataclass(frozen=True)
class _Endless(Split):
    """Stands in for a data set when the caller has its own batches."""

    samples: int

    def __len__(self) -> int:
        return self.samples

    def batch(self, index: Tensor, *, train: bool) -> tuple[Any, Any]:
        raise IndexError(f"hogwild.launch has no data set (asked for {index.numel()} samples, train={train})")
