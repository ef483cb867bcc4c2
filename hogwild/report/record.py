"""What a run directory records, read for people: configuration, summary and events. No file is trusted."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from hogwild.errors import DataError, UsageError
from hogwild.files.reading import TABLE_BYTES, json_lines, read_text, reading
from hogwild.runs import timeline
from hogwild.runs.directory import METRICS, TIMELINE, RunDirectory, is_run
from hogwild.runs.journal import JOURNAL_BYTES, without_repeats
from hogwild.runs.timeline import Track
from hogwild.text import quoted

AXES = {"samples": "samples", "time": "seconds", "updates": "updates"}
"""x axis of a curve -> its label."""

NOT_CURVES = {"kind", "time", "samples", "updates", "epoch", "worker", "pid", "s"}
MOST_WORKERS = 65_536
Point = tuple[float, float]
Values = Mapping[str, Any]


@dataclass(frozen=True)
class Record:
    """One run. `events` are the lines of metrics.jsonl in order; those that a resumed run made again replace the lines
    from before, whose samples it went back behind.
    """

    name: str
    path: Path
    values: Values
    summary: Values
    events: Sequence[Values] = field(repr=False)

    @classmethod
    def open(cls, path: str | Path) -> Record:
        """UsageError if `path` is no run directory, DataError for a damaged file in it."""
        run = RunDirectory.open(path)
        metrics = run.path / METRICS
        lines = json_lines(metrics, JOURNAL_BYTES, drop_partial=True) if metrics.exists() else iter(())
        summary = run.read_summary() if (run.path / "summary.json").exists() else {}
        return cls(run.path.resolve().name, run.path, run.values(trust=True), summary, without_repeats(lines))

    def of(self, kind: str) -> list[Values]:
        return [event for event in self.events if event.get("kind") == kind]

    @cached_property
    def pushes(self) -> list[dict[str, float]]:
        """The rows of pushes.csv, which only simulated runs have."""
        path = self.path / "pushes.csv"
        if not path.exists():
            return []
        with reading(path, "a table of pushes"):
            rows = csv.DictReader(io.StringIO(read_text(path, TABLE_BYTES, regular=True)))
            return [{name: _float(value) for name, value in row.items()} for row in rows]

    @cached_property
    def tracks(self) -> list[Track]:
        """The timelines of the workers; none in runs of version 0.1."""
        return [track for track in timeline.read(self.path / TIMELINE) if track.worker < self.workers]

    @property
    def is_virtual(self) -> bool:
        return self.values.get("clock") is not None

    @property
    def has_diverged(self) -> bool:
        return self.summary.get("exit_reason") == "diverged"

    @property
    def has_ended(self) -> bool:
        """A run that goes on after it has ended writes events that are newer than its summary."""
        metrics, summary = self.path / METRICS, self.path / "summary.json"
        if not summary.exists():
            return False
        return not metrics.exists() or summary.stat().st_mtime_ns >= metrics.stat().st_mtime_ns

    @property
    def workers(self) -> int:
        """DataError for a number that no run has."""
        found = self.summary.get("workers", self.values.get("workers", 1))
        if not isinstance(found, int) or not 0 < found <= MOST_WORKERS:
            raise DataError(f"{self.path} says that it has {quoted(found)} workers: it is no run of hogwild")
        return found

    def measured(self) -> list[str]:
        """The names of everything that has a curve: what train and eval events carry a number for."""
        names = {
            name: None
            for event in self.events
            if event.get("kind") in ("train", "eval")
            for name, value in event.items()
            if name not in NOT_CURVES and (value is None or _is_number(value))
        }
        return sorted(names, key=lambda name: (name != "train_loss", not name.startswith("test_"), name))

    def curve(self, y: str, x: str = "samples") -> list[Point]:
        """The values of `y` over `x` of AXES, in order. What was no finite number is NaN."""
        points = []
        for event in self.events:
            if y in event and event.get("kind") in ("train", "eval") and _is_number(event.get(x)):
                points.append((float(event[x]), _float(event[y])))
        if self.has_diverged:
            return points
        return [point for point in points if math.isfinite(point[1])]  # null: no push in the interval of the event

    def last(self, y: str) -> float:
        """The last value of a curve; NaN if there is none."""
        points = self.curve(y)
        return points[-1][1] if points else math.nan


def showing(*paths: str | Path) -> AbstractContextManager[None]:
    """A context in which anything that goes wrong with what these run directories hold is one line, a DataError."""
    return reading(" ".join(map(str, paths)), "a run that can be shown" if len(paths) == 1 else "runs to be shown")


def records(paths: Sequence[str | Path]) -> list[Record]:
    """The runs at these paths; a comparison, or a folder of runs, stands for all of its runs. Names are made unique."""
    found: list[Record] = []
    for path in map(Path, paths):
        if is_run(path):
            found.append(Record.open(path))
            continue
        inside = path / "runs" if (path / "runs").is_dir() else path
        with reading(inside, "a folder of runs", error=UsageError):
            runs = sorted(filter(is_run, inside.iterdir()), key=_natural) if inside.is_dir() else []
        if not runs:
            raise UsageError(f"{path} is neither a run directory nor a folder with runs: name the directory of a run")
        found += map(Record.open, runs)
    names = [record.name for record in found]
    return [run if names.count(run.name) == 1 else replace(run, name=str(run.path)) for run in found]


def differing(runs: Sequence[Record]) -> dict[str, list[Any]]:
    """Option -> its value in each run, for the options that are not the same in all."""
    unlike = ("name", "out", "resume", "overwrite", "quiet")
    names = dict.fromkeys(name for run in runs for name in run.values if name not in unlike)
    rows = {name: [run.values.get(name) for run in runs] for name in names}
    return {name: row for name, row in rows.items() if any(value != row[0] for value in row)}


def _natural(path: Path) -> list[tuple[int, str]]:
    """Orders box2 before box10."""
    return [(int(part or 0), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", path.name)]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _float(value: object) -> float:
    """NaN for what is no number: JSON has no NaN, so null stands for it."""
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return math.nan
    except OverflowError as error:
        raise DataError(f"a number of the run is out of range: {error}") from error
