"""What a finished run gives back."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, default_collate

from hogwild.config import Config
from hogwild.errors import UsageError
from hogwild.files.reading import json_lines
from hogwild.metrics import joined
from hogwild.runs.directory import METRICS
from hogwild.runs.journal import OWN_JOURNAL_BYTES, without_repeats
from hogwild.shared.devices import map_tensors, to_device
from hogwild.tasks.data import Data

Row = dict[str, Any]


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, SIGTERM or SIGHUP ended the run in order: its checkpoint is written. `result` has the model as it was
    then, and the summary.
    """

    def __init__(self, message: str, result: Result) -> None:
        super().__init__(message)
        self.result = result


@dataclass(frozen=True, repr=False)
class Result:
    """The result of a run.

    `summary` has the keys of summary.json, `model` the trained parameters, `path` is the run directory. `history` has a
    row for each evaluation: epoch, updates, samples, wall_s (virtual_s under a clock), lr, and every metric as
    val_<name> or test_<name>. `best` is the row with the best value of the monitored metric, whose state is the
    checkpoint `best`; None without evaluations. `returns` are what the loops of hogwild.launch returned, by rank: None
    for one that died.
    """

    summary: dict[str, Any]
    model: nn.Module
    path: str
    history: list[Row] = field(default_factory=list)
    best: Row | None = None
    returns: list[Any] = field(default_factory=list)

    def __repr__(self) -> str:
        names = [name for name in self.summary if name.startswith(("val_", "test_"))]
        names += [name for name in ("train_loss", "updates", "wall_s") if name in self.summary]
        facts = [f"{name}={value:.4g}" for name in names if isinstance(value := self.summary[name], (int, float))]
        return f"Result({', '.join([*facts, f'path={self.path!r}'])})"

    def predict(self, inputs: Any, batch_size: int = 500) -> Any:
        """The outputs of the trained model for `inputs`, on the CPU, without gradients and in evaluation mode.

        Args:   inputs: a tensor or an array [samples, ...], or tuples and dicts of these; a map-style data set or a
                DataLoader, of whose pairs (input, target) the inputs are taken.
        """
        if batch_size < 1:
            raise UsageError(f"predict needs batch_size >= 1, not {batch_size}")
        place, was_training = next(self.model.parameters()), self.model.training
        self.model.eval()
        try:
            with torch.no_grad():
                outputs = [
                    map_tensors(torch.Tensor.cpu, self.model(to_device(batch, place.device, place.dtype)))
                    for batch in _batches(inputs, batch_size)
                ]
        finally:
            self.model.train(was_training)
        return joined(outputs) if outputs else torch.empty(0)


def history(path: Path, config: Config) -> list[Row]:
    """The evaluations in the journal of a run, without those from before a crash that came again after it; the last
    one with the test set's metrics where that is another set.
    """
    rows: list[Row] = []
    time = "wall_s" if config.clock is None else "virtual_s"
    journal = path / METRICS
    lines = json_lines(journal, OWN_JOURNAL_BYTES, drop_partial=True) if journal.exists() else iter(())
    for event in without_repeats(line for line in lines if line.get("kind") in ("eval", "test")):
        values = {name: value for name, value in event.items() if name not in ("kind", "time", "s")}
        if event.get("kind") == "eval":
            facts = {name: values.pop(name, None) for name in ("epoch", "updates", "samples")}
            rows.append({**facts, time: event.get("time"), **values})
        elif event.get("kind") == "test" and rows:
            rows[-1] |= {name: value for name, value in values.items() if name.startswith("test_")}
    return rows


def best(rows: list[Row], data: Data) -> Row | None:
    """The first row with the best value of the monitored metric; a value that is not a number never is."""
    names = (f"{data.watched[0]}_{data.monitored}", data.monitored)  # of an evaluation of the caller's own: as it is
    name = next((name for name in names if any(name in row for row in rows)), "")
    known = [row for row in rows if isinstance(value := row.get(name), (int, float)) and not math.isnan(value)]
    sign = 1.0 if data.larger_is_better else -1.0
    return max(known, key=lambda row: sign * float(row[name]), default=None)


def _batches(inputs: Any, size: int) -> Iterator[Any]:
    if isinstance(inputs, DataLoader):
        yield from (_inputs(batch) for batch in inputs)
        return
    nest = _tensors(inputs)
    if isinstance(nest, (Tensor, tuple, list, dict)):
        first = nest
        while not isinstance(first, Tensor):
            first = next(iter(first.values() if isinstance(first, dict) else first))
        for start in range(0, len(first), size):
            yield map_tensors(lambda tensor, start=start: tensor[start : start + size], nest)  # type: ignore[misc]
        return
    for start in range(0, len(inputs), size):
        yield default_collate([_inputs(inputs[i]) for i in range(start, min(start + size, len(inputs)))])


def _inputs(value: Any) -> Any:
    return value[0] if isinstance(value, (tuple, list)) and len(value) in (1, 2) else value


def _tensors(value: Any) -> Any:
    """Arrays as tensors, in tuples, lists and dicts too."""
    if isinstance(value, np.ndarray):
        return torch.from_numpy(np.ascontiguousarray(value))
    if isinstance(value, dict):
        return {key: _tensors(part) for key, part in value.items()}
    return type(value)(map(_tensors, value)) if type(value) in (tuple, list) else value
