"""Numbers that a caller's own code adds to the events of a run, beside those that the run records itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from hogwild.errors import UsageError
from hogwild.own_code import described

EVENT = frozenset({"self", "kind", "time", "samples", "updates", "lr", "s"})
SUMMARY = frozenset({
    "algorithm", "data", "model", "workers", "device", "master", "mps", "access", "lr", "batch_size", "accumulate",
    "seed", "updates", "samples", "wall_s", "samples_per_s", "train_loss", "delay", "delay_histogram", "gap_rms",
    "gap_histogram", "timeline_lost",
    "step_rms", "step_per_lr", "refused", "dropped", "chunks_averaged", "chunks_skipped", "batches_taken_over",
    "metrics", "faults", "edge",
    "parameters", "unique_rows_per_push", "row_delay", "row_delay_expected", "shared_rows", "shared_rows_expected",
    "row_delay_histogram", "exit_reason", "stopped", "error", "bad_samples", "bad_test_samples", "eval_s", "virtual_s",
    "messages", "moved_bytes", "clock",
})  # fmt: skip
"""Names in summary.json, besides those of metrics."""
EVALUATION = EVENT | SUMMARY | {"epoch"}
"""Names in an evaluation, in a row of Result.history or in summary.json."""
TRAINING = EVENT | {
    "train_loss", "samples_per_s", "delay", "gap_rms", "step_rms", "step_per_lr",
    "refused", "dropped", "interval",
}  # fmt: skip
"""Names in an event of kind train."""


def numbers(values: Any, taken: Collection[str], what: str) -> dict[str, float]:
    """`values`, name -> number, with tensors and arrays of one element as numbers.

    UsageError that begins with `what` if they are something else, or if a name is one of `taken`.
    """
    if not isinstance(values, Mapping):
        raise UsageError(f"{what} must be {{name: number}}; it is {described(values)}")
    found = {}
    for name, value in values.items():
        if name in taken:
            raise UsageError(f"{what} has {name!r}, which the run records itself: call it otherwise, or leave it out")
        try:
            found[str(name)] = float(value)
        except (TypeError, ValueError, RuntimeError, OverflowError):
            raise UsageError(f"{what} has {name!r} = {described(value)}, which is not one number") from None
    return found
