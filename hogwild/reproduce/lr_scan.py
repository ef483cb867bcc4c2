"""Figures 1, 13 and 3 of Giladi et al. 2020: validation error against the learning rate under a constant delay.

The paper: delay 32 on MNIST with a small CNN (figures 1, 13), VGG-11 on CIFAR-10 for several delays with several seeds
(figure 3); plain SGD at a constant learning rate. The baseline is large-batch synchronous SGD, the rule is lr = lr_sync
/ delay. At delay 32 the best lr was 0.01, and runs above 0.05 did not converge.
Here: Fashion-MNIST (digits if it is missing) with one net for all three figures: at tiny scale a perceptron on 4,000
samples. Delay d is d + 1 workers in turn. The baseline of figures 1 and 13 is 32 synchronous workers with the same
batch size; that of figure 3 is delay 0 at the same batch size, as in the theory. The baseline is scanned too, so
lr_sync is measured and not assumed. In figure 3 lr_sync is a plateau from 0.02 to 0.32, so the paper's vertical lines
(eq. 8) are not drawn. Figure 1 also scans shifted and standard momentum (0.9, averaged gradients: the same effective
rate). The steady state is the mean over the last quarter of the run. At tiny scale the runs of figure 3 at delay 16 and
32 are too short for a steady state: their error still falls. At small scale they are delay / 4 times as long.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import mean, stdev
from typing import Any

from hogwild.reproduce.figure import SCALES, Figure, Row, Verdict, groups, line
from hogwild.reproduce.study import Study
from hogwild.reproduce.thresholds import PAPER

DELAY = 32
WORKERS = 32  # in the synchronous baseline
LRS = tuple(0.0025 * 2**power for power in range(8))
SYNC_LRS = tuple(0.02 * 2**power for power in range(6))
AVERAGED = {"momentum": 0.9, "dampening": 0.9}
RULES: dict[str, dict[str, Any]] = {
    "sync": {"algorithm": "ssgd"},
    "none": {"algorithm": "asgd"},
    "shifted": {"algorithm": "shifted", "first_step": "damped", **AVERAGED},
    "standard": {"algorithm": "asgd", **AVERAGED},
}
SCANNED = ("none", "shifted", "standard")
SIZES: dict[str, dict[str, Any]] = {
    "smoke": {"samples": 160, "tests": 60, "model": "mlp", "batch_size": 4, "epochs": 2},
    "tiny": {"samples": 4000, "tests": 2000, "model": "mlp", "batch_size": 16, "epochs": 20},
    "paper": {"samples": 60_000, "tests": 10_000, "model": "lenet", "batch_size": 128, "epochs": 100},
}
SIZES["small"] = SIZES["tiny"]
BATCHES = {"smoke": 4, "tiny": 64, "small": 64, "paper": 128}  # in figure 3: delay must outweigh the noise of a batch
EPOCHS = {"smoke": 2, "tiny": 30, "small": 30, "paper": 100}
DELAYS = {"smoke": (2, 4), "tiny": (4, 8, 16, 32), "small": (4, 8, 16, 32), "paper": (4, 8, 16, 32, 64)}
SEEDS = {"smoke": 1, "tiny": 2, "small": 2, "paper": 3}
COLUMNS = ("data", "rule", "delay", "lr", "seed", "epoch", "loss", "error")
GAP = 0.02  # validation error that counts as a generalisation gap


def compute_delay(study: Study) -> list[Row]:
    """Figures 1 and 13."""
    cases = [(rule, DELAY, lr, study.seed) for rule in SCANNED for lr in _grid(study, LRS)]
    cases += [("sync", 0, lr, study.seed) for lr in _grid(study, SYNC_LRS)]
    return _train(study, cases, SIZES[study.scale])


def compute_delays(study: Study) -> list[Row]:
    """Figure 3."""
    seeds = range(study.seed, study.seed + SEEDS[study.scale])
    grids = {0: SYNC_LRS} | dict.fromkeys(DELAYS[study.scale], LRS)
    cases = [("none", delay, lr, seed) for delay, grid in grids.items() for lr in _grid(study, grid) for seed in seeds]
    return _train(study, cases, SIZES[study.scale] | {"batch_size": BATCHES[study.scale]}, _epochs_under)


def _epochs_under(study: Study, delay: int) -> int:
    """The length of a run of figure 3. At lr_sync / delay a run takes a time in proportion to the delay to settle."""
    return EPOCHS[study.scale] * (max(delay // 4, 1) if study.scale == "small" else 1)


def _grid(study: Study, lrs: tuple[float, ...]) -> tuple[float, ...]:
    return lrs[::4] if study.scale == "smoke" else lrs


def _train(
    study: Study,
    cases: Sequence[tuple[str, int, float, int]],
    size: dict[str, Any],
    epochs: Callable[[Study, int], int] = lambda study, _: int(SIZES[study.scale]["epochs"]),
) -> list[Row]:
    from hogwild.reproduce.training import train

    values = [
        {
            **size,
            **RULES[rule],
            "epochs": epochs(study, delay),
            "data": study.data,
            "workers": WORKERS if rule == "sync" else delay + 1,
            "lr": lr,
            "seed": seed,
        }
        for rule, delay, lr, seed in cases
    ]
    return [
        {"data": study.data, "rule": rule, "delay": delay, "lr": lr, "seed": seed, "epoch": point["epoch"],
         "loss": point["loss"], "error": point["test_error"]}
        for (rule, delay, lr, seed), course in zip(cases, study.run(train, values), strict=True)
        for point in course
    ]  # fmt: skip


def steady(rows: Sequence[Row], until: float = math.inf) -> dict[float, list[float]]:
    """lr -> error of each seed over the last quarter before epoch `until`; infinite for a run that diverged by then."""
    found: dict[float, list[float]] = {}
    last = min(max(row["epoch"] for row in rows), until)
    for lr, by_lr in groups(rows, "lr").items():
        for run in groups(by_lr, "seed").values():
            seen = [row for row in run if 0.75 * last <= row["epoch"] <= last]
            lost = any(row["error"] is None and row["epoch"] <= last for row in run)
            found.setdefault(lr, []).append(math.inf if lost or not seen else mean(row["error"] for row in seen))
    return found


def best(errors: dict[float, list[float]]) -> tuple[float, float]:
    """(lr, mean error) of the smallest mean error."""
    lr = min(errors, key=lambda lr: mean(errors[lr]))
    return lr, mean(errors[lr])


def _in_percent(error: float) -> str:
    return f"{error:.1%}" if math.isfinite(error) else "diverged"


def verdict_delay(rows: Sequence[Row]) -> Verdict:
    """Figure 1: the best lr is lr_sync / delay within one step of the scan; four times that lr has a gap."""
    by_rule = groups(rows, "rule")
    lr_sync, error_sync = best(steady(by_rule["sync"]))
    parts = []
    for rule in SCANNED:
        lr, error = best(steady(by_rule[rule]))
        parts.append(f"{rule} {_in_percent(error)} at lr {lr:g}")
    plain = steady(by_rule["none"])
    lr, error = best(plain)
    rule_lr = min(plain, key=lambda lr: abs(math.log(lr * DELAY / lr_sync)))
    above = min((lr for lr in plain if lr >= 3.9 * rule_lr), default=max(plain))
    largest = max((lr for lr, errors in plain.items() if math.isfinite(errors[0])), default=0.0)
    text = (
        f"S-SGD {_in_percent(error_sync)} at lr {lr_sync:g}; at delay {DELAY} {', '.join(parts)}; plain SGD at "
        f"lr_sync / delay ({rule_lr:g}) {_in_percent(plain[rule_lr][0])}, at {above:g} {_in_percent(plain[above][0])}, "
        f"diverged above {largest:g}"
    )
    near = 0.49 < lr * DELAY / lr_sync < 2.1
    return Verdict(text, near and error < error_sync + GAP and plain[above][0] > error_sync + GAP)


def verdict_epochs(rows: Sequence[Row]) -> Verdict:
    """Figure 13: after a fifth of the run, the best lr of plain SGD at delay 32 stays within one step of the scan."""
    plain = [row for row in rows if row["rule"] == "none"]
    found = {epoch: best(steady(plain, epoch))[0] for epoch in _epochs(plain)}
    text = f"best lr at delay {DELAY} " + ", ".join(f"{lr:g} at epoch {epoch:g}" for epoch, lr in found.items())
    return Verdict(text, max(found.values()) / min(found.values()) < 2.1)


def _epochs(rows: Sequence[Row]) -> list[float]:
    known = sorted({row["epoch"] for row in rows})
    return [known[max(round(share * len(known)) - 1, 0)] for share in (0.2, 0.4, 0.7, 1.0)]


def verdict_delays(rows: Sequence[Row]) -> Verdict:
    """Figure 3: the best lr falls like 1 / delay, and the error at this lr equals that of S-SGD."""
    by_delay = groups(rows, "delay")
    _, error_sync = best(steady(by_delay.pop(0)))
    found = {delay: best(steady(group)) for delay, group in by_delay.items()}
    slope, _, _ = line([(math.log(delay), math.log(lr)) for delay, (lr, _) in found.items()])
    listing = ", ".join(f"{lr:g} at delay {delay} ({_in_percent(error)})" for delay, (lr, error) in found.items())
    worse = [f"{delay}" for delay, (_, error) in found.items() if error >= error_sync + GAP]
    text = (
        f"best lr {listing}: it falls like delay^{slope:.2f}; S-SGD {_in_percent(error_sync)}, which is more than "
        f"{GAP:.0%} better at {'delay ' + ', '.join(worse) if worse else 'no delay'}"
    )
    return Verdict(text, -1.35 < slope < -0.65 and not worse)


def plot_delay(axes: Any, rows: Sequence[Row]) -> None:
    """Steady-state error over lr, a line per momentum."""
    for rule, group in groups(rows, "rule").items():
        if rule == "sync":
            _baseline(axes, group)
        else:
            _curve(axes, steady(group), f"delay {DELAY}, momentum {rule}")
    _finish(axes)


def plot_epochs(axes: Any, rows: Sequence[Row]) -> None:
    """Error over lr of plain SGD, a line per epoch."""
    plain = [row for row in rows if row["rule"] == "none"]
    for epoch in _epochs(plain):
        _curve(axes, steady(plain, epoch), f"up to epoch {epoch:g}")
    _finish(axes)


def plot_delays(axes: Any, rows: Sequence[Row]) -> None:
    """Error over lr, a line per delay."""
    by_delay = groups(rows, "delay")
    _baseline(axes, by_delay[0])
    for delay, group in by_delay.items():
        _curve(axes, steady(group), f"delay {delay}")
    _finish(axes)


def _baseline(axes: Any, rows: Sequence[Row]) -> None:
    lr, error = best(steady(rows))
    axes.axhline(error, linestyle="--", color="black", label=f"S-SGD, lr {lr:g}")


def _curve(axes: Any, errors: dict[float, list[float]], label: str) -> None:
    points = [(lr, runs) for lr, runs in sorted(errors.items()) if all(map(math.isfinite, runs))]
    spread = [stdev(runs) if len(runs) > 1 else 0.0 for _, runs in points]
    axes.errorbar([lr for lr, _ in points], [mean(runs) for _, runs in points], spread, marker="o", label=label)


def _finish(axes: Any) -> None:
    axes.set(xscale="log", xlabel="learning rate (no dot: diverged)", ylabel="validation error")
    axes.legend(fontsize="small")


FIGURES = (
    Figure(
        name="fig1",
        source=f"{PAPER} 1",
        claim="Under delay 32 there is a generalisation gap to large-batch SGD unless the learning rate is divided by "
        "the delay",
        columns=COLUMNS,
        compute=compute_delay,
        verdict=verdict_delay,
        plot=plot_delay,
    ),
    Figure(
        name="fig3",
        source=f"{PAPER} 3",
        claim="The best lr lies near the stability threshold, so it falls like 1 / delay, and has the error of S-SGD",
        columns=COLUMNS,
        compute=compute_delays,
        verdict=verdict_delays,
        plot=plot_delays,
        scales=SCALES,
    ),
    Figure(
        name="fig13",
        source=f"{PAPER} 13",
        claim="Under delay 32 the best learning rate is the same throughout the training",
        columns=COLUMNS,
        compute=compute_delay,
        verdict=verdict_epochs,
        plot=plot_epochs,
    ),
)
