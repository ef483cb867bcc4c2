"""Figure 11 of Giladi et al. 2020: spikes of the training error in a long run under delay at a constant learning rate.

The paper: ResNet-44 on CIFAR-10, A-SGD with standard momentum, without momentum, and with shifted momentum at the same
hyper-parameters. The first two show spikes late in the run, the third does not.
Here: Fashion-MNIST (digits if it is missing), at tiny scale a perceptron on 1,088 samples with 17 workers in turn
(delay 16) for 200 epochs. Both momenta are 0.9 with dampening 0.9, so that all three runs have the same effective rate.
A spiky epoch is an epoch in the second half of the run that ends more than SPIKE above the lowest training error so
far.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from hogwild.reproduce.figure import Figure, Row, Verdict, groups
from hogwild.reproduce.lr_scan import RULES
from hogwild.reproduce.study import Study
from hogwild.reproduce.thresholds import PAPER

NAMES = ("standard", "none", "shifted")
SIZES: dict[str, dict[str, Any]] = {
    "smoke": {"samples": 80, "tests": 40, "model": "mlp", "batch_size": 4, "epochs": 20, "workers": 5},
    "tiny": {"samples": 1088, "tests": 200, "model": "mlp", "batch_size": 64, "epochs": 200, "workers": 17},
    "paper": {"samples": 60_000, "tests": 10_000, "model": "lenet", "batch_size": 128, "epochs": 200, "workers": 32},
}
LRS = {"smoke": (0.02,), "tiny": (0.01, 0.02, 0.03), "paper": (0.005, 0.01, 0.02)}
COLUMNS = ("data", "rule", "lr", "epoch", "loss", "train_error", "test_error")
SPIKE = 0.05


def compute(study: Study) -> list[Row]:
    """Every run, epoch by epoch."""
    from hogwild.reproduce.training import train

    cases = [(rule, lr) for lr in LRS[study.scale] for rule in NAMES]
    size = SIZES[study.scale] | {"data": study.data, "on_train": True, "seed": study.seed}
    courses = study.run(train, [size | RULES[rule] | {"lr": lr} for rule, lr in cases])
    return [
        {"data": study.data, "rule": rule, "lr": lr, **point}
        for (rule, lr), course in zip(cases, courses, strict=True)
        for point in course
    ]  # fmt: skip


def spiky(run: Sequence[Row]) -> int | None:
    """The number of spiky epochs of a run; None if it diverged."""
    errors = [row["train_error"] for row in run]
    if None in errors:
        return None
    half = len(errors) // 2
    return sum(bool(errors[epoch] > min(errors[: epoch + 1]) + SPIKE) for epoch in range(half, len(errors)))


def verdict(rows: Sequence[Row]) -> Verdict:
    """Shifted momentum has at no lr more spiky epochs than another rule, and in total fewer than each of them."""
    totals = dict.fromkeys(NAMES, 0.0)
    parts = []
    never_more = True
    for lr, group in groups(rows, "lr").items():
        counts = {rule: spiky(run) for rule, run in groups(group, "rule").items()}
        words = [f"{rule} {'diverged' if counts[rule] is None else counts[rule]}" for rule in NAMES]
        parts.append(f"lr {lr:g}: {', '.join(words)}")
        numbers = {rule: math.inf if count is None else count for rule, count in counts.items()}
        never_more &= numbers["shifted"] <= min(numbers.values())
        totals = {rule: totals[rule] + numbers[rule] for rule in NAMES}
    epochs = max(row["epoch"] for row in rows) / 2
    fewer = all(totals["shifted"] < totals[rule] for rule in NAMES if rule != "shifted")
    return Verdict(f"spiky epochs of the last {epochs:g} at {'; '.join(parts)}", never_more and fewer)


def plot(axes: Any, rows: Sequence[Row]) -> None:
    """Training error over epochs at the middle learning rate."""
    by_lr = groups(rows, "lr")
    lr = sorted(by_lr)[len(by_lr) // 2]
    for rule, run in groups(by_lr[lr], "rule").items():
        shown = [row for row in run if row["train_error"] is not None]
        label = f"momentum {rule}, lr {lr:g}"
        axes.plot([row["epoch"] for row in shown], [row["train_error"] for row in shown], label=label)
    axes.set(xlabel="epoch", ylabel="training error")
    axes.legend()


FIGURES = (
    Figure(
        name="fig11",
        source=f"{PAPER} 11",
        claim="Under delay the training error of a long run spikes with standard momentum and without, not with "
        "shifted momentum",
        columns=COLUMNS,
        compute=compute,
        verdict=verdict,
        plot=plot,
    ),
)
