"""Which options of a run go together: every value may be right alone, and two of them senseless."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from hogwild.buffers import has_replicas
from hogwild.config.presets import theory
from hogwild.errors import UsageError
from hogwild.rules import Guard

if TYPE_CHECKING:
    from hogwild.algorithms import Algorithm
    from hogwild.config import Config

LIMITS = ("epochs", "samples", "updates")
"""How long to train: at most one of them is set."""

PROCESS_ONLY = (
    "record", "respawn", "min_workers", "stall_timeout", "pin", "start_method", "ckpt_every", "resume", "cuda_graph",
    "gpus",
)  # fmt: skip
"""Options that a simulated run (--clock) has no use for."""

TIMED_CLOCKS = ("round-robin", "gamma", "random")
"""Clocks that draw how long a gradient takes; the others draw its delay, or replay a schedule."""


def check_together(config: Config, algorithm: Algorithm) -> None:
    """Raises UsageError, in one line, for the first two values of a run that do not go together."""
    if algorithm.max_workers is not None and config.workers > algorithm.max_workers:
        raise UsageError(
            f"algorithm {config.algorithm} takes at most {algorithm.max_workers} worker, not {config.workers}: "
            f"use --workers {algorithm.max_workers} or another algorithm"
        )
    try:
        algorithm.gradients_per_update(config.workers)
    except ValueError as error:
        raise UsageError(f"algorithm {config.algorithm}: {error}") from None
    if (graph := algorithm.graph()) is not None:
        from hogwild import topology

        topology.check(graph, config.workers, above=algorithm.above_eigenvalue)
    if config.read == "inplace" and has_replicas(algorithm.keeps()):
        raise UsageError(f"algorithm {config.algorithm} trains each worker's own replica: leave --read inplace out")
    if algorithm.needs_snapshot and config.read == "inplace":
        raise UsageError(f"algorithm {config.algorithm} compares the master with a snapshot: use --read snapshot")
    if algorithm.numbers_pushes and config.clock is None and config.workers > 1 and config.access != "locked":
        raise UsageError(f"algorithm {config.algorithm} counts pushes, one at a time: use --access locked, or simulate")
    if config.clip and config.guard != Guard.PUSH.value:
        raise UsageError(
            f"clip needs the norm of the whole gradient, and guard {config.guard} takes it in parts: use push"
        )
    if config.norm_alpha is not None and config.norm != "full":
        raise UsageError("norm_alpha is of Full Normalization: add --norm full, or leave it out")
    if config.norm_state is not None and config.norm not in (None, "full"):
        raise UsageError(f"norm_state is of Full Normalization, and --norm is {config.norm}: leave it out")
    if config.edge_every:
        theory(algorithm, "--edge-every")
    given = [limit for limit in LIMITS if getattr(config, limit) is not None]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} are both given; a run has one limit: leave one out")
    if config.min_workers > config.workers:
        raise UsageError(f"min_workers is {config.min_workers} but there are only {config.workers} workers")
    strangers = [worker for worker in config.straggler if worker >= config.workers]
    if strangers:
        raise UsageError(f"straggler: there is no worker {strangers[0]}; they are 0 to {config.workers - 1}")
    if (config.latency or config.bandwidth) and not _is_timed(config.clock):
        raise UsageError("latency and bandwidth are of virtual time: add --clock gamma, round-robin or random")
    if config.clock is not None:
        defaults = {field.name: field.default for field in dataclasses.fields(config)}
        idle = [name for name in PROCESS_ONLY if getattr(config, name) != defaults[name]]
        if idle:
            raise UsageError(f"{idle[0]} concerns worker processes, and --clock simulates them in one: leave it out")
    if config.schedule == "step" and not config.milestones:
        raise UsageError("schedule step needs milestones, fractions of the run: --milestones 0.5,0.75")
    if config.schedule != "step" and (config.milestones or config.step_factor is not None):
        raise UsageError(f"milestones and step_factor are for --schedule step, this one is {config.schedule}")
    if config.device == "cpu" and config.master not in ("auto", "host"):
        raise UsageError(f"master {config.master} needs a GPU, but device is cpu: use --master host or --device cuda")
    if config.cuda_graph and config.device == "cpu":
        raise UsageError("cuda_graph needs a GPU, but device is cpu: leave it out, or use --device cuda")
    if config.cuda_graph and config.compile:
        raise UsageError("compile and cuda_graph are both given, and have not been tried together: leave one out")
    if config.device == "cpu" and config.gpus != 1:
        raise UsageError(f"gpus {config.gpus} needs GPUs, but device is cpu: leave one of the two out")
    if config.amp != "none" and config.dtype != "float32":
        raise UsageError(f"amp {config.amp} is for a float32 master, dtype is {config.dtype}: leave one of the two out")
    if config.ckpt != "last" and config.resume is None:
        raise UsageError(f"ckpt {config.ckpt!r} says where to resume from: add --resume RUN")


def _is_timed(clock: str | None) -> bool:
    return clock is not None and clock.partition(":")[0] in TIMED_CLOCKS
