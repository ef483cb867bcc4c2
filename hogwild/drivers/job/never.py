"""What a run asks for again and again, and is too short for: it would never come, and nothing would say so."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from hogwild.config import FIELDS
from hogwild.drivers.job.due import CHECKPOINT, EVALUATION
from hogwild.drivers.job.job import MAX_TICKETS, Job

OF_A_WORKER = ("period", "period_up")
"""Options of algorithms that count a worker's own gradients."""


class Interval(NamedTuple):
    """The option `name` has the value `every`, in `unit`; the run is `length` of these units long. `effect`: what the
    run does instead.
    """

    name: str
    every: float
    unit: str
    length: float
    effect: str


def never_due(job: Job) -> list[str]:
    """One line for each interval of the run that ends after the run does. Silent on intervals in seconds, and on those
    that nobody chose and that do not matter: the default ones between evaluations and checkpoints.
    """
    return [
        f"{of.name} {of.every:g} never comes: the run is {of.length:,.4g} {of.unit} long; {of.effect}"
        for of in _intervals(job)
        if of.every > of.length
    ]


def evaluations(job: Job) -> float:
    """The evaluations that are due before the end of the run; infinity if that depends on the time it takes."""
    counts = []
    for unit, every in job.intervals.get(EVALUATION, ()):
        total = job.total_tickets if unit == "tickets" else _updates(job)
        if every:
            counts.append(math.inf if unit == "seconds" else max(math.ceil(total / every) - 1, 0))
    return sum(counts)


def _updates(job: Job) -> float:
    return job.total_tickets // job.algorithm.gradients_per_update(job.config.workers)


def _intervals(job: Job) -> Iterator[Interval]:
    if job.total_tickets >= MAX_TICKETS:  # loops that end when they like
        return
    config, updates = job.config, _updates(job)
    epochs = max(job.total_tickets / job.order.tickets_per_epoch, config.epochs or 0.0)  # tickets are rounded
    for thing, short in ((EVALUATION, "eval"), (CHECKPOINT, "ckpt")):
        effect = f"the one {thing} is at the end"
        every = {f"{short}_every": ("epochs", epochs), f"{short}_updates": ("updates", updates)}
        if thing in job.intervals:
            for name, (unit, length) in every.items():
                if (value := getattr(config, name)) != FIELDS[name].default:
                    yield Interval(name, value, unit, length, effect)
    for name, parts in job.intervals.items():
        if name not in (EVALUATION, CHECKPOINT):  # a callback
            yield from (
                Interval(f"{name}.copies_every", every, unit, updates, "it sees no copy of the model")
                for unit, every in parts
            )
    if config.between is not None:
        yield Interval("between_period", config.between_period, "updates", updates, "no box hears of the others")
    yield Interval("edge_every", config.edge_every, "updates", updates, "the edge is never measured")
    for epoch in config.step_epochs:
        yield Interval("step_epochs", epoch, "epochs", epochs, "lr stays as it is before")
    own = job.total_tickets / config.workers
    for name in OF_A_WORKER:
        yield Interval(
            name, getattr(job.algorithm, name, 0), "gradients of each worker", own, "its workers do not exchange"
        )
