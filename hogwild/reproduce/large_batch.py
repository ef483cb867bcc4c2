"""The shape of figures 5 and 9 of Giladi et al. 2020: the 1 / delay rule in a long run with momentum and lr decay.

The paper: ResNet-50 on ImageNet, 90 epochs, lr / 10 at epochs 30, 60 and 80. Large-batch S-SGD (23.8 % error) is
compared with A-SGD at lr_sync / delay with standard momentum (28.13 %), without momentum (25.49 %) and with shifted
momentum (25.4 %); at lr_sync / sqrt(delay) A-SGD did not converge. Figure 9: shifted momentum under constant delays
(25.4 %) and under Gaussian ones (25.3 %).
Here: the shape only. Fashion-MNIST (digits if it is missing), at tiny scale a perceptron on 4,000 samples for 30 epochs
(120 at small scale), with the decay at the same fractions of the run; 32 workers. As in the authors' code, S-SGD and
A-SGD with standard momentum have momentum 0.9 without dampening, shifted momentum has dampening 0.9, and all have the
same lr. The effective rate of the last two A-SGD runs is therefore ten times smaller. The Gaussian delays have
deviation 7.3, that of the schedule in the authors' code at 32 workers. No lr was tuned for the result.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import mean
from typing import Any

from hogwild.reproduce.figure import SCALES, Figure, Row, Verdict, groups
from hogwild.reproduce.study import Study
from hogwild.reproduce.thresholds import PAPER

WORKERS = 32
DELAY = WORKERS - 1
SYNC_LR = 0.16
DECAY = {"schedule": "step", "milestones": [1 / 3, 2 / 3, 8 / 9]}
SIZES: dict[str, dict[str, Any]] = {
    "smoke": {"samples": 160, "tests": 60, "model": "mlp", "batch_size": 4, "epochs": 2},
    "tiny": {"samples": 4000, "tests": 2000, "model": "mlp", "batch_size": 16, "epochs": 30},
    "small": {"samples": 4000, "tests": 2000, "model": "mlp", "batch_size": 16, "epochs": 120},
    "paper": {"samples": 60_000, "tests": 10_000, "model": "lenet", "batch_size": 128, "epochs": 90},
}
SEEDS = {"smoke": 1, "tiny": 2, "small": 2, "paper": 3}
SHIFTED = {"algorithm": "shifted", "momentum": 0.9, "dampening": 0.9, "lr": SYNC_LR / DELAY}
RUNS: dict[str, dict[str, Any]] = {
    "S-SGD": {"algorithm": "ssgd", "momentum": 0.9, "lr": SYNC_LR},
    "standard": {"algorithm": "asgd", "momentum": 0.9, "lr": SYNC_LR / DELAY},
    "none": {"algorithm": "asgd", "lr": SYNC_LR / DELAY},
    "shifted": SHIFTED,
    "standard, sqrt": {"algorithm": "asgd", "momentum": 0.9, "lr": SYNC_LR / math.sqrt(DELAY)},
    "shifted, Gaussian": {**SHIFTED, "clock": f"normal:{DELAY}:7.3"},
}
COLUMNS = ("data", "run", "lr", "seed", "epoch", "loss", "error")
LOST = 0.5  # a run with a larger validation error did not converge
SIMILAR = 0.01


def compute_momenta(study: Study) -> list[Row]:
    """Figure 5."""
    return _train(study, ("S-SGD", "standard", "none", "shifted", "standard, sqrt"))


def compute_laws(study: Study) -> list[Row]:
    """Figure 9."""
    return _train(study, ("shifted", "shifted, Gaussian"))


def _train(study: Study, names: Sequence[str]) -> list[Row]:
    from hogwild.reproduce.training import train

    seeds = range(study.seed, study.seed + SEEDS[study.scale])
    cases = [(name, seed) for name in names for seed in seeds]
    size = {**SIZES[study.scale], **DECAY, "data": study.data, "workers": WORKERS}
    values = [{**size, **RUNS[name], "seed": seed} for name, seed in cases]
    return [
        {"data": study.data, "run": name, "lr": RUNS[name]["lr"], "seed": seed, "epoch": point["epoch"],
         "loss": point["loss"], "error": point["test_error"]}
        for (name, seed), course in zip(cases, study.run(train, values), strict=True)
        for point in course
    ]  # fmt: skip


def final(rows: Sequence[Row]) -> dict[str, float]:
    """run -> last error, averaged over the seeds; 1 for a run that diverged."""
    return {
        name: mean(1.0 if run[-1]["error"] is None else run[-1]["error"] for run in groups(group, "seed").values())
        for name, group in groups(rows, "run").items()
    }


def _listing(errors: dict[str, float]) -> str:
    return ", ".join(f"{name} {'diverged' if error == 1 else f'{error:.2%}'}" for name, error in errors.items())


def verdict_momenta(rows: Sequence[Row]) -> Verdict:
    """Figure 5: none and shifted are alike, and lose less than half as much to S-SGD as standard momentum, if anything;
    sqrt does not converge.
    """
    errors = final(rows)
    alike = abs(errors["none"] - errors["shifted"]) < SIMILAR
    most = errors["standard"] - errors["S-SGD"]
    little = max(errors["none"], errors["shifted"]) - errors["S-SGD"] < most / 2
    return Verdict(f"error {_listing(errors)}", alike and most > 0 and little and errors["standard, sqrt"] > LOST)


def verdict_laws(rows: Sequence[Row]) -> Verdict:
    """Figure 9: the two errors are alike."""
    errors = final(rows)
    apart = abs(errors["shifted"] - errors["shifted, Gaussian"])
    return Verdict(f"error {_listing(errors)}: {apart:.2%} apart", apart < SIMILAR)


def plot(axes: Any, rows: Sequence[Row]) -> None:
    """Validation error over epochs, one line per run (first seed)."""
    for name, group in groups(rows, "run").items():
        shown = [row for row in group if row["seed"] == group[0]["seed"] and row["error"] is not None]
        label = f"{name}, lr {group[0]['lr']:.3g}"
        axes.plot([row["epoch"] for row in shown], [row["error"] for row in shown], label=label)
    axes.set(xlabel="epoch", ylabel="validation error")
    axes.legend(fontsize="small")


FIGURES = (
    Figure(
        name="fig5",
        source=f"{PAPER} 5 (shape)",
        claim="At lr_sync / delay A-SGD loses most with standard momentum, little without or with shifted momentum; at "
        "lr_sync / sqrt(delay) it does not converge",
        columns=COLUMNS,
        compute=compute_momenta,
        verdict=verdict_momenta,
        plot=plot,
        scales=SCALES,
    ),
    Figure(
        name="fig9",
        source=f"{PAPER} 9 (shape)",
        claim="Shifted momentum reaches the same error under a Gaussian delay as under a constant one",
        columns=COLUMNS,
        compute=compute_laws,
        verdict=verdict_laws,
        plot=plot,
        scales=SCALES,
    ),
)
