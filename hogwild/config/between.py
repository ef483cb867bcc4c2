"""The algorithms between boxes, their options, and what a run of several boxes can be.

Between boxes an algorithm's text runs with a box as its worker: a step of that worker is what the box's own workers do
in `between_period` updates (hogwild.boxes.outer). So the rule of a step and the period are not options here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from hogwild.algorithms import registry
from hogwild.buffers import has_replicas
from hogwild.errors import UsageError
from hogwild.options import accept

if TYPE_CHECKING:
    from hogwild.algorithms import Algorithm
    from hogwild.config import Config

PAIRS = "ad-psgd"
CENTERS = {
    "easgd": ("alpha", "beta"),
    "downpour": (),
    "async-diloco": ("outer_every", "outer_momentum", "outer_lr", "activation"),
}
ROUNDS = {
    "d-psgd": ("topology", "weights", "self_weight"),
    "local-sgd": ("outer_lr",),
    "slowmo": ("outer_momentum", "outer_lr"),
    "diloco": ("outer_momentum", "outer_lr"),
    "easgd-sync": ("alpha", "beta"),
}
OPTIONS: dict[str, tuple[str, ...]] = {PAIRS: (), **CENTERS, **ROUNDS}
"""Algorithm between boxes -> its options there: pair averages, exchanges with a center, and rounds."""

BETWEEN = tuple(OPTIONS)
STEPS = {"period": 1, "momentum": 0.0, "combine": "last", "exchange": "post"}
"""A box has made its steps before the text goes on, by rules of its own workers."""

_GRADIENT = "it needs the workers' gradients, and a box sends its model"
NOT_BETWEEN = {
    "sgp": "its gradients are those of a rescaled model, and a box computes them at its own",
    **dict.fromkeys(("admm", "d2", "gradient-tracking"), _GRADIENT),
}
BETWEEN_ONLY = (
    "between_options", "between_period", "between_wait", "between_wire", "between_timeout", "between_linger",
    "min_boxes", "boxes", "box_straggler",
)  # fmt: skip
NOT_IN_BOXES = {
    "ckpt": "each box goes on from its own last checkpoint: leave it out",
    **dict.fromkeys(("shard", "record", "gpus", "cuda_graph", "master"), "leave it out"),
}
"""Option -> what to do instead."""


def outer(name: str, options: str | None) -> Algorithm:
    """The algorithm between boxes, with options NAME=VALUE,NAME=VALUE. UsageError for those that it does not have."""
    algorithm = registry.find(name)
    fields, given = algorithm.options(), {}
    for part in filter(None, (options or "").split(",")):
        option, _, value = part.partition("=")
        if option not in OPTIONS[name]:
            known = ", ".join(OPTIONS[name]) or "none"
            raise UsageError(f"between_options: {name} has no option {option!r} between boxes; it has: {known}")
        given[option] = accept(fields[option], value)
    fixed: dict[str, Any] = {option: value for option, value in STEPS.items() if option in fields}
    try:
        return algorithm(**fixed, **given)
    except (TypeError, ValueError, ArithmeticError) as error:
        raise UsageError(f"between {name}: {error}") from None


def require_boxes(name: str, algorithm: Algorithm, boxes: int) -> None:
    """UsageError if the algorithm between boxes cannot be that of so many."""
    from hogwild import topology

    try:
        algorithm.gradients_per_update(boxes)
    except ValueError as error:
        raise UsageError(f"between {name}: {error}") from None
    if (graph := algorithm.graph()) is not None and name != PAIRS:
        topology.check(graph, boxes)


def check(
    config: Config, algorithm: Algorithm, given: Callable[[Config, Sequence[str]], list[str]], timed: Sequence[str]
) -> str | None:
    """What is wrong with a run of several boxes; None if nothing is. `given`: those of these options that have another
    value than their default. `timed`: the clocks that draw durations.
    """
    if config.between is None:
        idle = given(config, BETWEEN_ONLY)
        return f"{idle[0]} is for runs of several boxes: add --between ad-psgd, or leave it out" if idle else None
    return (
        _between(config, given)
        or _inside(config, algorithm, given)
        or _simulated(config, given, timed)
        or _device(config)
    )


def _between(config: Config, given: Callable[[Config, Sequence[str]], list[str]]) -> str | None:
    name = str(config.between)
    if name not in BETWEEN:
        why = NOT_BETWEEN.get(name, "there is no such algorithm between boxes")
        return f"between {name}: {why}; use one of {', '.join(BETWEEN)}"
    text = outer(name, config.between_options)
    if name == PAIRS and given(config, ("between_wait",)):
        return f"between_wait {config.between_wait}: nobody waits in {PAIRS}: leave it out"
    if name != PAIRS and config.between_wire != "f32":
        return f"between_wire {config.between_wire} is for pairs, and {name} sends snapshots to all boxes: use f32"
    if config.between_wire != "f32" and config.dtype != "float32":
        return f"between_wire {config.between_wire} is for float32, dtype is {config.dtype}: leave one of the two out"
    if config.clock is None:
        if config.between_wait != "none":
            return f"between_wait {config.between_wait} is for simulated boxes: real ones never wait, leave it out"
    else:
        require_boxes(name, text, config.boxes)
    return None


def _inside(config: Config, algorithm: Algorithm, given: Callable[[Config, Sequence[str]], list[str]]) -> str | None:
    named = f"algorithm {config.algorithm} in a run of several boxes (--between)"
    if has_replicas(algorithm.keeps()) or algorithm.result() != "x":
        return f"{named}: its workers have replicas, and boxes exchange one model each; use asgd or one like it"
    if algorithm.barriers_per_round or algorithm.follows_updates:
        return f"{named}: its workers wait for one another; use asgd or one like it"
    if taken := given(config, tuple(NOT_IN_BOXES)):
        remedy = NOT_IN_BOXES[taken[0]]
        return f"{taken[0]} is not supported in a run of several boxes (--between) yet: {remedy}"
    return None


def _simulated(config: Config, given: Callable[[Config, Sequence[str]], list[str]], timed: Sequence[str]) -> str | None:
    if config.clock is None:
        if idle := given(config, ("boxes", "box_straggler")):
            return f"{idle[0]} is for simulated boxes; torchrun says how many there are: leave it out"
    elif config.boxes < 2:
        return "between needs several boxes in a simulated run: add --boxes 2"
    elif config.clock.partition(":")[0] not in timed:
        return f"clock {config.clock} draws no durations, which boxes need: use gamma, round-robin or random"
    elif absent := [box for box in config.box_straggler if box >= config.boxes]:
        return f"box_straggler: there is no box {absent[0]}; they are 0 to {config.boxes - 1}"
    return None


def _device(config: Config) -> str | None:
    if config.device == "cuda":
        return "device cuda is not supported in a run of several boxes (--between) yet: use --device cpu"
    return None
