"""`hogwild.launch`: your own loop in every worker."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from hogwild.algorithms import Algorithm
from hogwild.config import FIELDS
from hogwild.drivers.job.groups import GroupFn
from hogwild.drivers.job.job import make_job
from hogwild.drivers.processes.handle import Handle as Worker
from hogwild.errors import UsageError
from hogwild.library.models import Make, require_function
from hogwild.library.result import Result
from hogwild.library.run import run
from hogwild.library.settings import config_of, with_algorithm
from hogwild.own_code import described
from hogwild.shared.seeds import own_generators
from hogwild.tasks.data import Data, NoSamples, Split
from hogwild.tasks.own import LAUNCH


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
    require_function(model_fn)
    if not callable(fn):
        raise UsageError(f"launch runs a function of the worker, (worker) -> None; it was given {described(fn)}")
    values = {"workers": workers, "quiet": quiet, "warmup": 0.0, **with_algorithm(algorithm, options, values)}
    config = config_of(model_fn, LAUNCH, values)
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
        return run(replace(job, total_tickets=0, body=fn))


@dataclass(frozen=True)
class _Endless(Split):
    """Stands in for a data set when the caller has its own batches."""

    samples: int

    def __len__(self) -> int:
        return self.samples

    def batch(self, index: Tensor, *, train: bool) -> tuple[Any, Any]:
        raise IndexError(f"hogwild.launch has no data set (asked for {index.numel()} samples, train={train})")
