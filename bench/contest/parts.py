"""The CSV of a contest: the runs of each task, with the day, the machine and the command that made them."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.contest.plan import Row

ABOUT = ("day", "machine", "command")


@dataclass(frozen=True)
class Part:
    """All runs of one task."""

    day: str
    machine: str
    command: str
    rows: Sequence[Row]

    @property
    def task(self) -> str:
        return self.rows[0].task


def parts_of(rows: Sequence[Row], day: str, machine: str, command: str) -> list[Part]:
    tasks = dict.fromkeys(row.task for row in rows)
    return [Part(day, machine, command, [row for row in rows if row.task == task]) for task in tasks]


def with_new(old: Iterable[Part], new: Iterable[Part]) -> list[Part]:
    """A task that was run again is replaced."""
    return list(({part.task: part for part in old} | {part.task: part for part in new}).values())


def to_csv(parts: Iterable[Part], path: Path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*(field.name for field in dataclasses.fields(Row)), *ABOUT])
        for part in parts:
            about = part.day, part.machine, part.command
            writer.writerows([*map(_cell, dataclasses.astuple(row)), *about] for row in part.rows)


def from_csv(path: Path) -> list[Part]:
    """Empty if there is no such file."""
    if not path.exists():
        return []
    found: dict[tuple[str, ...], list[Row]] = {}
    with path.open(newline="") as file:
        for line in csv.DictReader(file):
            about = tuple(line.pop(name) for name in ABOUT)
            row = _row(line)
            found.setdefault((row.task, *about), []).append(row)
    return [Part(day, machine, command, rows) for (_, day, machine, command), rows in found.items()]


def _cell(value: object) -> object:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else value


def _row(line: dict[str, str]) -> Row:
    to_target = line["to_target_s"]
    return Row(
        line["task"], line["method"], line["is_ours"] == "True", line["situation"], line["kind"], float(line["lr"]),
        int(line["seed"]), float(line["accuracy"]), float(to_target) if to_target else None,
        float(line["samples_per_s"]),
    )  # fmt: skip
