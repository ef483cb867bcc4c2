"""The job that is sent to each worker process, besides the memory it maps: the data set without its tensors, the model,
the algorithm.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

from hogwild.algorithms import Algorithm
from hogwild.algorithms.registry import find
from hogwild.config import Config
from hogwild.config.schedules import Schedule, Shape
from hogwild.drivers.callbacks.callback import Callback
from hogwild.drivers.job.batches import Batches, StreamOrder, make_batches
from hogwild.drivers.job.due import Intervals
from hogwild.drivers.job.groups import GroupFn, freeze
from hogwild.drivers.job.model import build, smallest_batch
from hogwild.drivers.job.preparation import prepared, require_loadable
from hogwild.drivers.job.schedule import make_schedule
from hogwild.errors import HogwildError, UsageError
from hogwild.own_code import described, told
from hogwild.shared.payload import Payload
from hogwild.tasks.data import Data, NoSamples, Split

IMPORTABLE = "Define them at module level in a file, and call hogwild.fit under if __name__ == '__main__'"
WHAT = "the model and the data set, for the workers"
MAX_TICKETS = 1 << 62


@dataclass
class Job:
    """One training run as plain objects."""

    config: Config
    algorithm: Algorithm
    data: Data
    model: Callable[[Data], nn.Module]
    order: Batches
    schedule: Schedule
    total_tickets: int
    body: Callable[[Any], None] | None = None  # a caller's own loop in place of tickets (hogwild.launch)
    groups: GroupFn | None = None  # a caller's own parameter groups
    start: Mapping[str, Any] | None = None  # weights to begin with, by name; None: config.init_from
    callbacks: Sequence[Callback] = ()  # of the parent
    evaluate: Callable[[nn.Module, Any], Any] | None = None  # of the parent, in place of a test set
    intervals: Intervals = field(default_factory=dict)  # of what is due in the parent, set by the driver
    box: int = 0  # which one of `boxes` this process and its workers are
    boxes: int = 1

    def payload(self, train: Split) -> Payload:
        """This job for the workers, with `train` in place of the data (see SharedSplit.stand_in).

        UsageError if it cannot be pickled: a lambda, a local function, an open file.
        """
        try:
            data = replace(self.data, train=train, test=NoSamples(), validation=NoSamples(), metrics={}, lines=())
            return Payload(replace(self, data=data, start=None, callbacks=(), evaluate=None), WHAT)
        except HogwildError:
            raise
        except Exception as error:  # the user's own code runs here
            name = getattr(self.model, "__name__", type(self.model).__name__)
            raise UsageError(
                f"the workers cannot import the model, the data or the algorithm ({name}: {told(error)}). {IMPORTABLE}"
            ) from error

    @staticmethod
    def of(payload: Payload) -> Job:
        """Loads the job in a worker. UsageError if a part of it cannot be imported there."""
        try:
            job: Job = payload.load()
        except Exception as error:
            raise UsageError(
                f"it cannot import the model, the data or the algorithm ({told(error)}). {IMPORTABLE}"
            ) from error
        return job

    @property
    def counted(self) -> Batches | None:
        """The order of the samples; None if a loop of its own has its own batches."""
        return self.order if self.body is None else None

    def build(self) -> nn.Module:
        return freeze(build(self.config, self.data, self.model), self.groups)


def make_job(
    config: Config,
    data: Data,
    model: Callable[[Data], nn.Module],
    groups: GroupFn | None = None,
    shape: Shape | None = None,
) -> Job:
    """The job of a configuration. `shape`: the caller's own schedule. UsageError if the data are too few for its
    workers, or for groups that the algorithm does not take.
    """
    algorithm = find(config.algorithm)(**config.options)
    if groups is not None and not algorithm.takes_groups:
        raise UsageError(f"algorithm {config.algorithm} has one lr and one weight decay for all: leave groups out")
    if groups is not None and not callable(groups):
        raise UsageError(f"groups is a function (name, parameter) -> {{'lr': factor}}; it is {described(groups)}")
    per_update = algorithm.gradients_per_update(config.workers)
    data = prepared(data, config, per_update)
    if len(data.train) < config.workers * config.gradient_samples:
        parts = f" x {config.accumulate}" if config.accumulate > 1 else ""
        raise UsageError(
            f"data set has {len(data.train)} samples, workers x batch = {config.workers} x {config.batch_size}{parts}: "
            "some workers would get none. Lower --batch-size or --workers."
        )
    order = make_batches(config, data)
    if config.takeover and isinstance(order, StreamOrder):
        raise UsageError("takeover lets a second worker compute a batch, and a stream is read once: leave it out")
    if config.loaders:
        require_loadable(data)
    may_drop = config.drop_last is None and order.smallest == 1 < config.gradient_samples
    if may_drop and (least := smallest_batch(build(config, data, model), config.batch_size)) > 1:
        order = make_batches(config, data, least)  # one sample has no variance
    tickets = order.total_tickets(config, per_update)
    if tickets > MAX_TICKETS:
        raise UsageError(f"{tickets:.3g} batches are more than can be counted: give fewer epochs, samples or updates")
    schedule = make_schedule(config, order, tickets, per_update, shape)
    return Job(config, algorithm, data, model, order, schedule, tickets, groups=groups)
