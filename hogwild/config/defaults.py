"""Values that depend on the algorithm, the machine or the data."""

from __future__ import annotations

from hogwild import system
from hogwild.algorithms import Algorithm
from hogwild.options import unknown

DEFAULT_WORKERS = 2


def default_workers(algorithm: Algorithm, is_simulated: bool) -> int:
    """As many as the algorithm takes and, for processes without neighbours, there are cores for; at most the usual."""
    limits = [DEFAULT_WORKERS, algorithm.max_workers or DEFAULT_WORKERS]
    if not is_simulated and algorithm.graph() is None:
        limits.append(system.cores().usable)
    return min(limits)


def known_model(data: str, model: str | None) -> str:
    """`model`, or that of the data set. UsageError unless both are registered or the user's own."""
    from hogwild.tasks import DATASETS, MODELS, default_model

    if data not in DATASETS and ":" not in data:
        raise unknown("data set", data, DATASETS, "your own: --data module:function")
    model = default_model(data) if model is None else model
    if model not in MODELS and ":" not in model:
        raise unknown("model", model, MODELS, "your own: --model module:function")
    return model
