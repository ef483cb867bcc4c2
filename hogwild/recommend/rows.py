"""The measured rows: a method at its best learning rate in a setting, and what came out. Packaged as assets/rows.csv.

tools/measured_rows.py writes them from the tables in docs/results.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

PACKAGED = Path(__file__).with_name("assets") / "rows.csv"
NOT_TUNED = ", rates not tuned"
"""Ends a setting whose methods ran at one learning rate for all numbers of workers."""


@dataclass(frozen=True)
class Measured:
    """One method in one setting, mean over `seeds`.

    source: the file in docs/results. split: whether workers have different classes. latency: of a message, in mean
    times of a gradient, as all times. delay_cv: standard deviation over mean of the delays of plain asynchronous SGD in
    that setting, which tells how unequal the workers are; None: not measured. time: to the target; None: never, or not
    measured, where target is empty. score: test accuracy at
    the end; None: a seed diverged. bytes: moved per parameter and gradient.
    """

    source: str
    setting: str
    workers: int
    clock: str
    split: bool
    latency: float
    delay_cv: float | None
    method: str
    lr: float
    seeds: int
    target: str
    time: float | None
    score: float | None
    bytes: float | None

    @property
    def algorithm(self) -> str:
        return self.method.partition(" ")[0]

    @property
    def is_tuned(self) -> bool:
        return not self.setting.endswith(NOT_TUNED)


def to_csv(rows: Iterable[Measured]) -> str:
    """One line per row; numbers with four digits."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(field.name for field in fields(Measured))
    writer.writerows([_cell(value) for value in asdict(row).values()] for row in rows)
    return file.getvalue()


def from_csv(text: str) -> list[Measured]:
    """The rows as `to_csv` wrote them."""
    return [_row(line) for line in csv.DictReader(io.StringIO(text))]


def packaged() -> list[Measured]:
    """The rows of this version of hogwild."""
    return from_csv(PACKAGED.read_text())


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else value


def _row(line: dict[str, str]) -> Measured:
    def number(name: str) -> float | None:
        return float(line[name]) if line[name] else None

    return Measured(
        source=line["source"], setting=line["setting"], workers=int(line["workers"]), clock=line["clock"],
        split=line["split"] == "yes", latency=float(line["latency"]), delay_cv=number("delay_cv"),
        method=line["method"], lr=float(line["lr"]), seeds=int(line["seeds"]), target=line["target"],
        time=number("time"), score=number("score"), bytes=number("bytes"),
    )  # fmt: skip
