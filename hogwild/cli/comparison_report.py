"""The output of `hogwild compare`: a CSV of all runs, a table and a plot.

The columns of the table, and the x axis of the plot, are the numbers of workers, or the values of the varied option. If
an option is tuned, each cell and point shows its best value; the CSV has all values.
"""

from __future__ import annotations

import csv
import io
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from hogwild.errors import UsageError
from hogwild.files.writing import replacing, write_atomically, writing
from hogwild.report.seeds import verdict

Row = Mapping[str, Any]
Runs = Sequence[Row]  # one per seed


@dataclass(frozen=True)
class Report:
    """Rows in the order of the grid. The option `vary` (None: workers) makes the columns; `tune` is set to its best."""

    rows: Runs
    vary: str | None = None
    tune: str | None = None

    @cached_property
    def panels(self) -> dict[str, dict[str, dict[str, Runs]]]:
        """Clock (and workers, unless they are the columns) -> algorithm -> column -> runs."""
        candidates: dict[tuple[str, str, str], dict[str, list[Row]]] = {}
        for row in self.rows:
            algorithm, workers, clock = row["key"][:3]
            panel = f"{clock}, N = {workers}" if self.vary else clock
            column = variant(row)[self.vary] if self.vary else str(workers)
            value = variant(row)[self.tune] if self.tune else ""
            candidates.setdefault((panel, algorithm, column), {}).setdefault(value, []).append(row)
        panels: dict[str, dict[str, dict[str, Runs]]] = {}
        for (panel, algorithm, column), values in candidates.items():
            panels.setdefault(panel, {}).setdefault(algorithm, {})[column] = min(values.values(), key=_rank)
        return panels

    def columns(self, panel: str) -> list[str]:
        return list(dict.fromkeys(column for line in self.panels[panel].values() for column in line))

    def write_csv(self, path: Path) -> None:
        """A CSV with one line per run."""
        varied = [name for name in (self.vary, self.tune) if name not in (None, "lr")]
        figures = ["lr", "score", "gap_rms", "delay_mean", "exit_reason"]
        file = io.StringIO(newline="")
        writer = csv.writer(file)
        writer.writerow(["algorithm", "workers", "clock", "seed", *varied, *figures])
        for row in self.rows:
            delay = (row["delay"] or {}).get("mean")
            own = [variant(row)[name] for name in varied if name]
            writer.writerow([*row["key"][:4], *own, row["lr"], score(row), row["gap_rms"], delay, row["exit_reason"]])
        write_atomically(path, file.getvalue())

    @property
    def keys(self) -> set[tuple[Any, ...]]:
        """Of the runs that are shown: with an option that is tuned, those of its best values."""
        return {tuple(row["key"]) for panel in self.panels.values() for line in panel.values() for runs in line.values()
                for row in runs}  # fmt: skip

    def edges(self) -> list[str]:
        """A line for each cell in which the best value of the tuned option is the least or the largest that was tried:
        a better one may lie beyond.
        """
        if self.tune is None:
            return []
        values = list(dict.fromkeys(variant(row)[self.tune] for row in self.rows))
        try:
            ordered = sorted(values, key=float)
        except ValueError:
            return []  # words have no order
        lines = []
        for panel, algorithms in self.panels.items():
            for algorithm, line in algorithms.items():
                for column, runs in line.items():
                    best = variant(runs[0])[self.tune]
                    if len(ordered) > 1 and _finite(runs) and best in (ordered[0], ordered[-1]):
                        which, beyond = ("least", "smaller") if best == ordered[0] else ("largest", "larger")
                        lines.append(
                            f"{algorithm}, {self.vary or 'N'} = {column}, {panel}: the best {self.tune} {best} is the "
                            f"{which} of the grid: try {beyond} ones"
                        )
        return lines

    def markdown(self) -> str:
        """Per panel a table of mean ± sample standard deviation over seeds of the score, one of the differences to the
        first algorithm, seed by seed, and one of the gap.
        """
        lines: list[str] = []
        for panel, algorithms in self.panels.items():
            columns, (first, *others) = self.columns(panel), algorithms
            runs = {name: [line.get(column, []) for column in columns] for name, line in algorithms.items()}
            lines += self._table(panel, "score", {name: map(self._score_cell, row) for name, row in runs.items()})
            if others:
                against = {name: map(_against, runs[name], runs[first]) for name in others}
                lines += self._table(panel, f"better than {first}, seed by seed", against)
            lines += self._table(panel, "gap_rms, mean", {name: map(_gap_cell, row) for name, row in runs.items()})
        return "\n".join([*lines, *(f"- {line}" for line in self.edges())])

    def _table(self, panel: str, title: str, rows: Mapping[str, Iterable[str]]) -> list[str]:
        """`rows`: algorithm -> a text for each column."""
        columns = self.columns(panel)
        heads = " | ".join(f"{self.vary or 'N'} = {column}" for column in columns)
        head = [f"### {panel}: {title}", "", f"| algorithm | {heads} |", "|---" * (len(columns) + 1) + "|"]
        return [*head, *(f"| {name} | {' | '.join(cells)} |" for name, cells in rows.items()), ""]

    def _score_cell(self, runs: Runs) -> str:
        scores = _finite(runs)
        tuned = f" ({self.tune} {variant(runs[0])[self.tune]})" if self.tune and runs else ""
        if not scores:
            return "diverged" if runs else "-"
        spread = f" ± {statistics.stdev(scores):.4f}" if len(scores) > 1 else ""
        diverged = len(runs) - len(scores)
        return f"{statistics.mean(scores):.4f}{spread}{tuned}" + (f" ({diverged} diverged)" if diverged else "")

    def plot(self, path: Path) -> None:
        """Score over the columns, a line per algorithm, bars of the sample standard deviation, a plot per panel."""
        try:
            from matplotlib.figure import Figure
        except ImportError:
            raise UsageError(
                "the plot needs matplotlib: pip install 'hogwild[plot]' (the tables are written)"
            ) from None
        figure = Figure(figsize=(6.5 * max(len(self.panels), 1), 4.5), layout="constrained")
        best = f", best {self.tune}" if self.tune else ""
        for number, (panel, algorithms) in enumerate(self.panels.items()):
            axes = figure.add_subplot(1, len(self.panels), number + 1)
            columns = self.columns(panel)
            places = dict(zip(columns, _positions(columns), strict=True))
            for algorithm, line in algorithms.items():
                points = [(places[column], scores) for column, runs in line.items() if (scores := _finite(runs))]
                axes.errorbar(
                    [place for place, _ in points],
                    [statistics.mean(scores) for _, scores in points],
                    [statistics.stdev(scores) if len(scores) > 1 else 0.0 for _, scores in points],
                    marker="o", capsize=3, label=algorithm,
                )  # fmt: skip
            axes.set(xlabel=self.vary or "workers", ylabel=f"test score{best}", title=panel)
            if all(place > 0 for place in places.values()):
                axes.set_xscale("log")
            axes.set_xticks(list(places.values()), columns)
            axes.minorticks_off()
            axes.legend(fontsize="small")
        with writing(path), replacing(path) as file:
            figure.savefig(file, dpi=120, format=path.suffix.removeprefix("."))


def variant(row: Row) -> dict[str, str]:
    """The options that distinguish this run, by name."""
    return {name: value for name, _, value in (part.partition("=") for part in row["key"][4:])}


def score(row: Row) -> float:
    """The test metric, which may be the loss; nan for a run that has none, because it diverged."""
    is_metric = "test_loss".__eq__ if row.get("metric") == "loss" else "test_loss".__ne__
    found = next((value for name, value in row.items() if name.startswith("test_") and is_metric(name)), None)
    return math.nan if found is None else float(found)


def _finite(runs: Runs) -> list[float]:
    return [value for value in map(score, runs) if math.isfinite(value)]


def _rank(runs: Runs) -> tuple[int, float]:
    """Fewest diverged runs first, then the best mean."""
    scores = _finite(runs)
    if not scores:
        return len(runs), 0.0
    return len(runs) - len(scores), statistics.mean(scores) * (-1 if runs[0].get("maximize", True) else 1)


def _against(runs: Runs, base: Runs) -> str:
    """The paired differences of the seeds that both have, as hogwild.report.seeds tells them."""
    theirs = {row["key"][3]: score(row) for row in base}
    sign = 1 if all(row.get("maximize", True) for row in runs) else -1
    pairs = [sign * (score(row) - theirs[row["key"][3]]) for row in runs if row["key"][3] in theirs]
    return verdict([pair for pair in pairs if math.isfinite(pair)])


def _gap_cell(runs: Runs) -> str:
    gaps = [row["gap_rms"] for row in runs if row["gap_rms"] is not None]
    return f"{statistics.mean(gaps):.2e}" if gaps else "-"


def _positions(columns: Sequence[str]) -> list[float]:
    """The columns as numbers; 1, 2, ... if they are words."""
    try:
        return [float(column) for column in columns]
    except ValueError:
        return [float(place + 1) for place in range(len(columns))]
