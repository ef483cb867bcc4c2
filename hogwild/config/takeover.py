"""Whether idle workers take over batches of slower ones at the end of a run (--takeover), and what excludes that."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hogwild.algorithms import Algorithm
    from hogwild.config import Config


def excluded(config: Config, algorithm: Algorithm, timed: Sequence[str]) -> str | None:
    """Why no batch can be computed by two workers; None if it can. `timed`: the clocks that draw durations."""
    if algorithm.barriers_per_round or algorithm.counts_rounds or algorithm.follows_updates:
        return f"workers of algorithm {config.algorithm} wait for each other's gradients"
    if config.shard != "none":
        return f"with --shard {config.shard} a batch belongs to its worker's part of the data"
    if config.record:
        return "a recorded schedule gives each batch to one worker"
    if config.layer_pushes:
        return "with layer_pushes a part of a gradient is in the model before the whole is there"
    if config.between is not None:
        return "boxes share their batches out among themselves"
    if config.clock is not None and config.clock.partition(":")[0] not in timed:
        return f"clock {config.clock} draws no durations, so that no worker is behind"
    return None
