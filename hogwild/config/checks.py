"""Checks of combinations of options: values that are valid alone may be invalid together.

Each check is a small function for one subject. It returns an error message, one line without a full stop, or None.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from hogwild.buffers import has_replicas
from hogwild.config import between as boxes
from hogwild.config.limits import LIMITS
from hogwild.config.presets import theory
from hogwild.config.schedules import WITH_MIN_LR
from hogwild.config.takeover import excluded
from hogwild.errors import UsageError
from hogwild.rules import Access, Guard

if TYPE_CHECKING:
    from hogwild.algorithms import Algorithm
    from hogwild.config import Config

    Check = Callable[[Config, Algorithm], str | None]

PROCESS_ONLY = (
    "record", "respawn", "min_workers", "stall_timeout", "kill_stalled", "pin", "start_method", "ckpt_every",
    "ckpt_updates", "ckpt_seconds", "eval_seconds", "cuda_graph", "gpus", "between_timeout", "between_linger",
    "min_boxes", "loaders",
)  # fmt: skip
"""Options that have no effect in a simulated run (--clock)."""

TIMED_CLOCKS = ("round-robin", "gamma", "random")
"""Clocks that draw the duration of a gradient; the other clocks draw its delay, or replay a schedule."""


def check_together(config: Config, algorithm: Algorithm) -> None:
    """Raises UsageError, in one line, for the first combination of values that is invalid."""
    for check in CHECKS:
        if (complaint := check(config, algorithm)) is not None:
            raise UsageError(complaint)


def _given(config: Config, names: Sequence[str]) -> list[str]:
    """Those of these options that have another value than their default."""
    defaults = {field.name: field.default for field in dataclasses.fields(config)}
    return [name for name in names if (getattr(config, name) or None) != (defaults[name] or None)]


def workers(config: Config, algorithm: Algorithm) -> str | None:
    """The number of workers, and the options that name single workers."""
    if algorithm.max_workers is not None and config.workers > algorithm.max_workers:
        return (
            f"algorithm {config.algorithm} takes at most {algorithm.max_workers} worker, not {config.workers}: "
            f"use --workers {algorithm.max_workers} or another algorithm"
        )
    try:
        algorithm.gradients_per_update(config.workers)
    except ValueError as error:
        return f"algorithm {config.algorithm}: {error}"
    if config.min_workers > config.workers:
        return f"min_workers is {config.min_workers} but there are only {config.workers} workers"
    absent = [worker for worker in config.straggler if worker >= config.workers]
    if absent:
        return f"straggler: there is no worker {absent[0]}; they are 0 to {config.workers - 1}"
    return None


def graph(config: Config, algorithm: Algorithm) -> str | None:
    """The graph of an algorithm with neighbours. topology.check raises its own UsageError."""
    if (chosen := algorithm.graph()) is not None:
        from hogwild import topology

        topology.check(chosen, config.workers, above=algorithm.above_eigenvalue)
    return None


def reading(config: Config, algorithm: Algorithm) -> str | None:
    """In-place reads, and algorithms that need a snapshot or a replica."""
    if config.read == "inplace" and has_replicas(algorithm.keeps()):
        return f"algorithm {config.algorithm} trains each worker's own replica: leave --read inplace out"
    if config.read == "inplace" and algorithm.needs_snapshot:
        return f"algorithm {config.algorithm} compares the master with a snapshot: use --read snapshot"
    return None


def access(config: Config, algorithm: Algorithm) -> str | None:
    """Algorithms that need a number for each push."""
    is_locked = config.access == Access.LOCKED.value or config.clock is not None
    if algorithm.numbers_pushes and config.workers > 1 and not is_locked:
        return f"algorithm {config.algorithm} counts pushes, one at a time: use --access locked, or simulate"
    return None


def gradients(config: Config, algorithm: Algorithm) -> str | None:
    """Clipping, the guard, parameter groups, and the theory that --edge-every needs (it raises its own UsageError)."""
    if config.clip and config.guard != Guard.PUSH.value:
        return f"clip needs the norm of the whole gradient, and guard {config.guard} takes it in parts: use push"
    if config.no_decay != "none" and not algorithm.takes_groups:
        return f"algorithm {config.algorithm} has one weight decay for all parameters: leave no_decay out"
    if config.edge_every:
        theory(algorithm, "--edge-every")
    return None


def layers(config: Config, algorithm: Algorithm) -> str | None:
    """What pushes of single parameters, before the whole gradient is there, exclude."""
    if not config.layer_pushes:
        return None
    named, kept = f"layer_pushes takes gradients apart, and algorithm {config.algorithm}", algorithm.keeps()
    if algorithm.barriers_per_round or algorithm.counts_rounds or algorithm.follows_updates or "sum" in kept:
        return f"{named} gathers or waits for whole ones: leave one out"
    if has_replicas(kept) or algorithm.result() != "x":
        return f"{named} needs the other workers' buffers whole: leave one out"
    if algorithm.numbers_pushes or algorithm.adaptive() is not None:
        return f"{named} counts whole ones: leave one out"
    if {"s", "gap_state"} & kept.keys():
        return f"{named} takes a gap, whose statistics are of whole ones: leave one out"
    if {"delay_limit", "distance_limit"} & algorithm.options().keys():
        return f"{named} drops late ones, of which a part would be in the model already: leave one out"
    if algorithm.needs_snapshot:
        return f"{named} needs the snapshot of the whole gradient until the push: leave one out"
    if config.clip:
        return (
            f"clip {config.clip:g} needs the norm of a whole gradient, and layer_pushes takes it apart: leave one out"
        )
    if config.guard == Guard.PUSH.value:
        return "guard push refuses whole gradients, and layer_pushes takes them apart: add --guard element"
    if config.access == Access.LOCKED.value:
        return "access locked makes a push one step of one worker, and layer_pushes takes it apart: leave one out"
    if config.clock is not None and config.clock.partition(":")[0] not in TIMED_CLOCKS:
        return f"clock {config.clock} draws no durations, which parts of a gradient need: use gamma or round-robin"
    if config.device == "cuda":
        return "layer_pushes is for gradients on the CPU: add --device cpu, or leave it out"
    taken = _given(config, ("compile", "cuda_graph", "record", "between"))
    if taken or config.read == "inplace":
        return f"{taken[0] if taken else 'read inplace'} and layer_pushes do not go together: leave one of the two out"
    return None


def loaders(config: Config, _algorithm: Algorithm) -> str | None:
    """Processes that read batches ahead, which must be known by their tickets alone."""
    if config.loaders and config.shard != "none":
        return (
            f"loaders read the batches of tickets ahead, and with --shard {config.shard} each worker has its own: "
            "leave one out"
        )
    if config.loaders and config.between is not None:
        return "loaders read the batches of tickets ahead, and boxes are dealt theirs while they train: leave one out"
    return None


def takeover(config: Config, algorithm: Algorithm) -> str | None:
    """Batches that two workers compute, at the end of a run."""
    if config.takeover and (why := excluded(config, algorithm, TIMED_CLOCKS)) is not None:
        return f"takeover lets a second worker compute a batch, and {why}: leave one out"
    return None


def normalization(config: Config, _algorithm: Algorithm) -> str | None:
    """Options of Full Normalization."""
    if config.norm_alpha is not None and config.norm != "full":
        return "norm_alpha is an option of Full Normalization: add --norm full, or leave it out"
    if config.norm_state is not None and config.norm not in (None, "full"):
        return f"norm_state is an option of Full Normalization, and --norm is {config.norm}: leave it out"
    return None


def between(config: Config, algorithm: Algorithm) -> str | None:
    """Runs of several boxes: what can be between them, and inside them."""
    return boxes.check(config, algorithm, _given, TIMED_CLOCKS)


def limits(config: Config, _algorithm: Algorithm) -> str | None:
    """The end of the run."""
    given = [limit for limit in LIMITS if getattr(config, limit) is not None]
    if len(given) > 1:
        return f"{' and '.join(given)} are both given; a run has one limit: leave one out"
    return None


def schedule(config: Config, _algorithm: Algorithm) -> str | None:
    """The shape of the learning rate, and its warm-up."""
    if config.milestones and config.step_epochs:
        return "milestones and step_epochs are both given: leave one out"
    steps = config.milestones or config.step_epochs
    if config.schedule == "step" and not steps:
        return "schedule step needs milestones, fractions of the run (--milestones 0.5,0.75), or --step-epochs 30,60"
    if config.schedule != "step" and (steps or config.step_factor is not None):
        return f"milestones, step_epochs and step_factor are for --schedule step, this one is {config.schedule}"
    if config.min_lr and config.schedule not in WITH_MIN_LR:
        return f"min_lr is for --schedule {', '.join(WITH_MIN_LR)}, this one is {config.schedule}"
    warmups = [name for name in ("warmup", "warmup_updates", "warmup_samples") if getattr(config, name)]
    if len(warmups) > 1:
        return f"{' and '.join(warmups)} are both given; a run has one warm-up: leave one out"
    return None


def clock(config: Config, _algorithm: Algorithm) -> str | None:
    """Options of virtual time only, and of worker processes only."""
    is_timed = config.clock is not None and config.clock.partition(":")[0] in TIMED_CLOCKS
    if (config.latency or config.bandwidth) and not is_timed:
        return "latency and bandwidth need virtual time: add --clock gamma, round-robin or random"
    if config.clock is not None and (idle := _given(config, PROCESS_ONLY)):
        return f"{idle[0]} concerns worker processes, and --clock simulates them in one: leave it out"
    return None


def device(config: Config, _algorithm: Algorithm) -> str | None:
    """Options that need a GPU, and number types."""
    if config.device == "cpu" and config.master not in ("auto", "host"):
        return f"master {config.master} needs a GPU, but device is cpu: use --master host or --device cuda"
    if config.device == "cpu" and config.cuda_graph:
        return "cuda_graph needs a GPU, but device is cpu: leave it out, or use --device cuda"
    if config.device == "cpu" and config.gpus != 1:
        return f"gpus {config.gpus} needs GPUs, but device is cpu: leave one of the two out"
    if config.cuda_graph and config.compile:
        return "compile and cuda_graph are both given, and have not been tested together: leave one out"
    if config.cuda_graph and config.accumulate > 1:
        return "cuda_graph replays one batch per gradient, and accumulate asks for more: leave one of the two out"
    if config.amp != "none" and config.dtype != "float32":
        return f"amp {config.amp} is for a float32 master, dtype is {config.dtype}: leave one of the two out"
    return None


def checkpoint(config: Config, _algorithm: Algorithm) -> str | None:
    """The checkpoint to resume from."""
    if config.ckpt != "last" and config.resume is None:
        return f"ckpt {config.ckpt!r} says where to resume from: add --resume RUN"
    return None


CHECKS: tuple[Check, ...] = (
    workers, graph, reading, access, gradients, layers, loaders, takeover, normalization, between, limits, schedule,
    clock, device, checkpoint,
)  # fmt: skip
