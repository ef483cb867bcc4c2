"""Figures 2 and 12 of Giladi et al. 2020: the learning rates at which training under a delay leaves a minimum.

The minimum was found without delay.
The paper: VGG-11 on CIFAR-10, a minimum of large-batch training at lr 0.8. Figure 2, left: epochs until a run has left
the minimum; right: 1 / (largest lr that stays) against the delay, with a resolution of 8 %. Figure 12: validation
error over epochs.
Here: Fashion-MNIST (digits if it is missing); at tiny scale a perceptron on 1,024 samples, batch 256, and a scan in
steps of 12 %. The captions do not say when a run has left; here it has left when its mean training loss exceeds ten
times that of the minimum, and 0.1. The horizon is a number of updates times delay + 1, because an escape takes that
much longer. The scan is centred on theory's threshold / curvature, with the curvature measured at the minimum. A delay
at which all runs stay, or none, has no edge. The curvature of cross-entropy falls with the loss, so the distance from
the minimum to the edge of its own training, 2 / lr_sync, depends on the length of that training. The constant of
figure 12 depends on it too; its 1 / delay does not. At small scale the minimum is found with twice as many epochs of
full batches, so that no noise of batches moves the edge.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from hogwild.reproduce.figure import SCALES, Figure, Row, Verdict, groups, line
from hogwild.reproduce.study import Study
from hogwild.reproduce.thresholds import PAPER

SIZES: dict[str, dict[str, Any]] = {
    "smoke": {"samples": 128, "tests": 60, "model": "mlp", "batch_size": 64, "epochs": 60},
    "tiny": {"samples": 1024, "tests": 500, "model": "mlp", "batch_size": 256, "epochs": 150},
    "small": {"samples": 1024, "tests": 500, "model": "mlp", "batch_size": 1024, "epochs": 300},
    "paper": {"samples": 10_000, "tests": 10_000, "model": "lenet", "batch_size": 1024, "epochs": 300},
}
SYNC_LR = 0.3
DELAYS = {
    "smoke": (1, 4), "tiny": (1, 2, 4, 8, 16, 32), "small": (1, 2, 4, 8, 16, 32), "paper": (1, 2, 4, 8, 16, 32, 64),
}  # fmt: skip
STEP = {"smoke": 2.0, "tiny": 1.12, "small": 1.12, "paper": 1.08}
POWERS = {"smoke": (-1, 1), "tiny": (-5, 2), "small": (-2, 5), "paper": (-8, 6)}
HORIZON = {"smoke": 10, "tiny": 120, "small": 60, "paper": 350}  # updates / (delay + 1)
POINTS = 40
COLUMNS = ("data", "delay", "lr", "lr_sync", "curvature", "epoch", "loss", "error", "left")


def compute(study: Study) -> list[Row]:
    """The runs of both figures: one row per evaluation."""
    from hogwild.reproduce.minimum import describe, leave
    from hogwild.theory.closed_forms import constant_delay

    size = SIZES[study.scale] | {"data": study.data, "seed": study.seed}
    (minimum,) = study.run(describe, [size | {"lr": SYNC_LR}])
    low, high = POWERS[study.scale]
    cases = [
        size
        | {"sync_lr": SYNC_LR, "delay": delay, "updates": HORIZON[study.scale] * (delay + 1), "points": POINTS}
        | {"lr": constant_delay("none", delay) / minimum["curvature"] * STEP[study.scale] ** power}
        for delay in DELAYS[study.scale]
        for power in range(low, high + 1)
    ]
    per_epoch = size["samples"] / size["batch_size"]
    return [
        {"data": study.data, "delay": case["delay"], "lr": case["lr"], "lr_sync": SYNC_LR,
         "curvature": minimum["curvature"], "epoch": point["update"] / per_epoch, "loss": point["loss"],
         "error": point["test_error"], "left": int(point["left"])}
        for case, course in zip(cases, study.run(leave, cases), strict=True)
        for point in course
    ]  # fmt: skip


def edges(rows: Sequence[Row]) -> dict[int, float | None]:
    """delay -> the largest lr up to which every run stayed; None if all stayed, or the smallest lr left."""
    found: dict[int, float | None] = {}
    for delay, group in groups(rows, "delay").items():
        left = {lr: any(row["left"] for row in run) for lr, run in sorted(groups(group, "lr").items())}
        first = next((lr for lr, has_left in left.items() if has_left), None)
        found[delay] = max((lr for lr in left if first is not None and lr < first), default=None)
    return found


def verdict_edge(rows: Sequence[Row]) -> Verdict:
    """Figure 2: 1 / (largest lr that stays) is linear in the delay."""
    from hogwild.theory.closed_forms import constant_delay

    found = {delay: lr for delay, lr in edges(rows).items() if lr}
    if len(found) < 3:
        return Verdict(f"an edge in the scan at {len(found)} of {len(edges(rows))} delays: too few for a line", False)
    slope, intercept, r2 = line([(delay, 1 / lr) for delay, lr in found.items()])
    curvature = rows[0]["curvature"]
    off = [lr * curvature / constant_delay("none", delay) for delay, lr in found.items()]
    text = (
        f"1 / lr_max = {slope:.2f} delay + {intercept:.2f}, R^2 {r2:.4f}, {len(found)} of {len(edges(rows))} delays; "
        f"theory for the measured curvature {curvature:.3g}: {2 * curvature / math.pi:.2f} delay + "
        f"{curvature / math.pi:.2f}; lr_max is {min(off):.2f} to {max(off):.2f} of theory's threshold"
    )
    return Verdict(text, r2 > 0.98 and len(found) == len(edges(rows)))


def verdict_rule(rows: Sequence[Row]) -> Verdict:
    """Figure 12: lr_max x delay is one number, and it is about lr_sync."""
    found = {delay: lr * delay for delay, lr in edges(rows).items() if lr}
    if not found:
        return Verdict("no edge inside the scan", False)
    lr_sync = rows[0]["lr_sync"]
    listing = ", ".join(f"{product:.3g} ({delay})" for delay, product in found.items())
    late = [product for delay, product in found.items() if delay >= 4]
    text = f"largest lr that stays, times the delay: {listing}; the minimum was found at lr {lr_sync:g} "
    text += f"and is stable without delay up to 2 / curvature = {2 / rows[0]['curvature']:.3g}"
    same = bool(late) and max(late) / min(late) < 1.3
    return Verdict(text, same and all(0.5 < product / lr_sync < 2 for product in late))


def plot_edge(axes: Any, rows: Sequence[Row]) -> None:
    """1 / lr_max over the delay, with one step of the scan as error bar; inset: epochs until a run leaves over lr."""
    found = {delay: lr for delay, lr in edges(rows).items() if lr}
    if found:
        steps = [_next(rows, delay) for delay in found]
        bars = [[1 / lr - 1 / up for lr, up in zip(found.values(), steps, strict=True)], [0.0] * len(found)]
        axes.errorbar(list(found), [1 / lr for lr in found.values()], bars, fmt="o", capsize=3, label="measured")
    curvature = rows[0]["curvature"]
    delays = list(groups(rows, "delay"))
    theory = [curvature * (2 * delay + 1) / math.pi for delay in delays]
    axes.plot(delays, theory, "--", label="(2 delay + 1) x curvature / pi")
    axes.set(xlabel="delay", ylabel="1 / largest lr that stays in the minimum")
    axes.legend(loc="lower right")
    inset = axes.inset_axes((0.12, 0.6, 0.38, 0.36))
    for delay, group in groups(rows, "delay").items():
        left = [(row["lr"], row["epoch"]) for row in group if row["left"]]
        inset.plot(*zip(*sorted(left), strict=True), ".-", label=f"{delay}") if left else None
    inset.set(xscale="log", yscale="log", xlabel="lr", ylabel="epochs to leave")
    inset.minorticks_off()


def _next(rows: Sequence[Row], delay: int) -> float:
    """The smallest lr at which a run left the minimum."""
    return min(float(row["lr"]) for row in rows if row["delay"] == delay and row["left"])


def plot_rule(axes: Any, rows: Sequence[Row]) -> None:
    """Validation error over epochs / (delay + 1): the edge of each delay, and the lr one step above it."""
    for delay, lr in edges(rows).items():
        if not lr:
            continue
        color = None
        for shown, style in ((lr, "-"), (_next(rows, delay), "--")):
            run = [row for row in rows if (row["delay"], row["lr"]) == (delay, shown) and row["error"] is not None]
            label = f"delay {delay}, lr {shown:.3g} ({shown * delay / rows[0]['lr_sync']:.2g} lr_sync / delay)"
            (drawn,) = axes.plot([row["epoch"] / (delay + 1) for row in run], [row["error"] for row in run], style,
                                 color=color, label=label)  # fmt: skip
            color = drawn.get_color()
    axes.set(xlabel="epochs / (delay + 1); dashed: one step of the scan higher", ylabel="validation error")
    axes.legend(fontsize="x-small")


FIGURES = (
    Figure(
        name="fig2",
        source=f"{PAPER} 2",
        claim="1 / (largest learning rate that does not leave the minimum) is linear in the delay",
        columns=COLUMNS,
        compute=compute,
        verdict=verdict_edge,
        plot=plot_edge,
        scales=SCALES,
    ),
    Figure(
        name="fig12",
        source=f"{PAPER} 12",
        claim="A run leaves the minimum if its learning rate is larger than lr_sync / delay",
        columns=COLUMNS,
        compute=compute,
        verdict=verdict_rule,
        plot=plot_rule,
        scales=SCALES,
    ),
)
