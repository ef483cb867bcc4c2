"""Rules under growing delay, each at the best of its learning rates: what figures of that kind share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean, stdev
from typing import Any

from hogwild.errors import UsageError
from hogwild.reproduce.figure import Row, Verdict, groups
from hogwild.reproduce.study import Study
from hogwild.tasks.catalog import find
from hogwild.tasks.locate import candidates, is_complete

COLUMNS = ("data", "rule", "workers", "lr", "seed", "quality")
WORKERS = {"smoke": (1, 3), "tiny": (1, 8, 32), "paper": (1, 8, 32)}
Rules = Mapping[str, tuple[Mapping[str, Any], tuple[float, ...]]]
"""Name -> (options, learning rates)."""


@dataclass(frozen=True)
class Task:
    """Rules, and what they are compared on. `values`, `seeds`: by the scale. `default` is to have the best mean of
    `rivals` (itself among them) at the most workers. `rate`: the option that is the learning rate.
    """

    rules: Rules
    default: str
    rivals: tuple[str, ...]
    data: str | None  # None: that of the study
    values: Mapping[str, Mapping[str, Any]]
    seeds: Mapping[str, int]
    label: str
    larger_is_better: bool
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # more, by the rule
    rate: str = "lr"

    def compute(self, study: Study) -> list[Row]:
        from hogwild.reproduce.training import train

        data = self.data or study.data
        source = find(data)
        if not any(is_complete(source, folder) for folder in candidates(source)) and self.data is not None:
            raise UsageError(f"{data} is not on this machine: say where it is with HOGWILD_DATA")
        seeds = range(study.seed, study.seed + self.seeds[study.scale])
        cells = [
            (rule, workers, lr, seed)
            for rule, (_, lrs) in self.rules.items()
            for workers in WORKERS[study.scale]
            for lr in (lrs[1:2] if study.scale == "smoke" else lrs)
            for seed in seeds
        ]
        cases = [
            {
                **self.values[study.scale], **self.rules[rule][0], **self.options.get(rule, {}),
                "data": data, "workers": workers, self.rate: lr, "seed": seed,
            }
            for rule, workers, lr, seed in cells
        ]  # fmt: skip
        return [
            {"data": data, "rule": rule, "workers": workers, "lr": lr, "seed": seed, "quality": self.quality(course)}
            for (rule, workers, lr, seed), course in zip(cells, study.run(train, cases), strict=True)
        ]

    def quality(self, course: Sequence[dict[str, Any]]) -> float | None:
        """The last evaluation's metric; None for a run that diverged."""
        error = course[-1]["test_error"]
        return None if error is None or not math.isfinite(error) else 1 - error

    def best(self, rows: Sequence[Row]) -> dict[int, tuple[float, float, float]]:
        """Workers -> (lr, mean, deviation) of the best learning rate; the mean is NaN if every rate diverged."""
        found = {}
        sign = 1 if self.larger_is_better else -1
        for workers, by_workers in groups(rows, "workers").items():
            found[workers] = (math.nan, math.nan, 0.0)
            for lr, by_lr in groups(by_workers, "lr").items():
                values = [row["quality"] for row in by_lr]
                if None in values:
                    continue
                if not sign * mean(values) <= sign * found[workers][1]:
                    found[workers] = (lr, mean(values), stdev(values) if len(values) > 1 else 0.0)
        return found

    def verdict(self, rows: Sequence[Row]) -> Verdict:
        """Whether the default has the best mean of its rivals at the most workers."""
        last = max(row["workers"] for row in rows)
        found = {rule: self.best(group) for rule, group in groups(rows, "rule").items()}
        texts = []
        for rule, by_workers in found.items():
            numbers = ", ".join(f"{value:.3f} +- {spread:.3f}" for _, value, spread in by_workers.values())
            texts.append(f"{rule} {numbers}")
        sign = 1 if self.larger_is_better else -1
        means = {rule: sign * by[last][1] for rule, by in found.items() if rule in self.rivals}
        best = max(means, key=lambda rule: means[rule] if means[rule] == means[rule] else -math.inf)
        workers = ", ".join(str(count) for count in found[self.default])
        text = f"with {workers} workers: {'; '.join(texts)}; best of {len(means)} at {last}: {best}"
        return Verdict(text, best == self.default)

    def report(self, rows: Sequence[Row]) -> str:
        """The table of best rates, in Markdown."""
        said, counts = self.verdict(rows), list(groups(rows, "workers"))
        seeds = len(groups(rows, "seed"))
        lines = [
            f"# {self.label[0].upper()}{self.label[1:]} under delay: {rows[0]['data']}", "",
            f"Workers in turn, so that the delay is their number less one; mean and deviation over {seeds} seeds, at",
            "the best of the rates of each rule (in brackets). *Lost*: from the fewest workers to the most.",
            "*Diverged*: a seed did at every rate.", "",
            f"At {max(counts)} workers {self.default} is {'' if said.holds else 'not '}the best of",
            f"{', '.join(self.rivals)}.",
            "", f"| rule | {' | '.join(map(str, counts))} | lost |", "|---" * (len(counts) + 2) + "|",
        ]  # fmt: skip
        for rule, group in groups(rows, "rule").items():
            best = self.best(group)
            cells = [
                f"{value:.3f} +- {spread:.3f} ({lr:g})" if value == value else "diverged"
                for lr, value, spread in best.values()
            ]
            lost = abs(best[max(counts)][1] - best[min(counts)][1])
            lines.append(f"| {rule} | {' | '.join(cells)} | {f'{lost:.3f}' if lost == lost else ''} |")
        return "\n".join([*lines, ""])

    def plot(self, axes: Any, rows: Sequence[Row]) -> None:
        """Quality at the best learning rate over the workers, a line a rule."""
        for rule, group in groups(rows, "rule").items():
            points = [(count, *found[1:]) for count, found in self.best(group).items() if found[1] == found[1]]
            counts, means, spreads = ([point[k] for point in points] for k in range(3))
            axes.errorbar(counts, means, spreads, marker="o", capsize=3, label=rule)
        axes.set(xscale="log", xlabel="workers in turn", ylabel=self.label)
        axes.legend(fontsize="small")
