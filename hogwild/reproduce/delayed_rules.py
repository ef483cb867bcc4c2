"""AdamW's kinds and SGD under growing delay: who keeps the quality that one worker reaches?

The paper: Hakimi et al. 2019 (arXiv:1907.11612) compare kinds of momentum for SGD under delay, and find that a
look-ahead by the workers' own momentum loses least. It has no adaptive rules; dana-slim is the default of AdamW here
because its linear theory has the largest threshold (docs/adaptive.md).
Here: N workers in turn, so that the delay is N - 1, for N = 1, 8 and 32; every rule has the best of its learning rates
at every N, by the mean of the seeds. All runs of a figure see as many batches of the same size. At tiny scale a
perceptron on 2,000 samples of Fashion-MNIST (digits if it is missing) for 504 batches of 32, two seeds; and the
character model for 200 batches of 8 windows of 64 characters, one seed, b2 0.99. Quality is that of the last
evaluation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

from hogwild.errors import UsageError
from hogwild.reproduce.figure import Figure, Row, Verdict, groups
from hogwild.reproduce.study import Study
from hogwild.tasks.catalog import find
from hogwild.tasks.locate import candidates, is_complete

COLUMNS = ("data", "rule", "workers", "lr", "seed", "quality")
WORKERS = {"smoke": (1, 3), "tiny": (1, 8, 32), "paper": (1, 8, 32)}
ADAM_LRS, SGD_LRS = (3e-4, 1e-3, 3e-3), (0.03, 0.1, 0.3)
RULES: dict[str, tuple[dict[str, Any], tuple[float, ...]]] = {
    "adamw dana-slim": ({"algorithm": "adamw", "momentum_kind": "dana-slim"}, ADAM_LRS),
    "adamw dana": ({"algorithm": "adamw", "momentum_kind": "dana"}, ADAM_LRS),
    "adamw shifted": ({"algorithm": "adamw", "momentum_kind": "shifted"}, ADAM_LRS),
    "adamw heavy-ball": ({"algorithm": "adamw", "momentum_kind": "heavy-ball"}, ADAM_LRS),
    "sgd": ({"algorithm": "asgd"}, SGD_LRS),
    "sgd dana-slim": ({"algorithm": "dana-slim", "momentum": 0.9}, tuple(lr / 10 for lr in SGD_LRS)),
}
"""Name -> (options, learning rates). Momentum 0.9 has a tenth of the rates, which is the same effective rate."""
DEFAULT = "adamw dana-slim"


@dataclass(frozen=True)
class Task:
    """What the rules are compared on. `values`: by the scale."""

    data: str | None  # None: that of the study
    values: dict[str, dict[str, Any]]
    seeds: dict[str, int]
    options: dict[str, Any]  # of adaptive rules with a b2
    larger_is_better: bool

    def compute(self, study: Study) -> list[Row]:
        from hogwild.reproduce.training import train

        data = self.data or study.data
        source = find(data)
        if not any(is_complete(source, folder) for folder in candidates(source)) and self.data is not None:
            raise UsageError(f"{data} is not on this machine: say where it is with HOGWILD_DATA")
        seeds = range(study.seed, study.seed + self.seeds[study.scale])
        cells = [
            (rule, workers, lr, seed)
            for rule, (_, lrs) in RULES.items()
            for workers in WORKERS[study.scale]
            for lr in (lrs[1:2] if study.scale == "smoke" else lrs)
            for seed in seeds
        ]
        cases = [
            {
                **self.values[study.scale], **(self.options if rule.startswith("adamw") else {}), **RULES[rule][0],
                "data": data, "workers": workers, "lr": lr, "seed": seed,
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
        """The default kind has the best mean of the AdamW kinds at the most workers."""
        last = max(row["workers"] for row in rows)
        found = {rule: self.best(group) for rule, group in groups(rows, "rule").items()}
        texts = []
        for rule, by_workers in found.items():
            numbers = ", ".join(f"{value:.3f} +- {spread:.3f}" for _, value, spread in by_workers.values())
            texts.append(f"{rule} {numbers}")
        sign = 1 if self.larger_is_better else -1
        kinds = {rule: sign * by[last][1] for rule, by in found.items() if rule.startswith("adamw")}
        best = max(kinds, key=lambda rule: kinds[rule] if kinds[rule] == kinds[rule] else -math.inf)
        workers = ", ".join(str(count) for count in found[DEFAULT])
        text = f"with {workers} workers: {'; '.join(texts)}; best of AdamW's kinds at {last}: {best}"
        return Verdict(text, best == DEFAULT)

    def plot(self, axes: Any, rows: Sequence[Row]) -> None:
        """Quality at the best learning rate over the workers, a line a rule."""
        for rule, group in groups(rows, "rule").items():
            points = [(count, *found[1:]) for count, found in self.best(group).items() if found[1] == found[1]]
            counts, means, spreads = ([point[k] for point in points] for k in range(3))
            axes.errorbar(counts, means, spreads, marker="o", capsize=3, label=rule)
        axes.set(xscale="log", xlabel="workers in turn", ylabel=self.label)
        axes.legend(fontsize="small")

    @property
    def label(self) -> str:
        return "test accuracy" if self.larger_is_better else "test bits per character"


IMAGES = Task(
    None,
    {
        "smoke": {"samples": 160, "tests": 60, "model": "mlp", "batch_size": 16, "epochs": 1},
        "tiny": {"samples": 2000, "tests": 1000, "model": "mlp", "batch_size": 32, "epochs": 8, "every": 8.0},
        "paper": {"samples": 60_000, "tests": 10_000, "model": "mlp", "batch_size": 32, "epochs": 5},
    },
    {"smoke": 1, "tiny": 2, "paper": 3},
    {},
    larger_is_better=True,
)
TEXT = Task(
    "tinyshakespeare",
    {
        "smoke": {"samples": 16, "tests": 4, "model": "charlm", "batch_size": 4, "epochs": 1},
        "tiny": {"samples": 1600, "tests": 100, "model": "charlm", "batch_size": 8, "epochs": 1},
        "paper": {"samples": 15_000, "tests": 1700, "model": "charlm", "batch_size": 8, "epochs": 4},
    },
    {"smoke": 1, "tiny": 1, "paper": 3},
    {"beta2": 0.99},
    larger_is_better=False,
)
CLAIM = "Of AdamW's kinds dana-slim, the default, loses least under delay, {}"
SOURCE = "ours, after Hakimi et al. 2019"
FIGURES = (
    Figure("delayed-rules", SOURCE, CLAIM.format("images"), COLUMNS, IMAGES.compute, IMAGES.verdict, IMAGES.plot),
    Figure("delayed-text", SOURCE, CLAIM.format("characters"), COLUMNS, TEXT.compute, TEXT.verdict, TEXT.plot),
)
