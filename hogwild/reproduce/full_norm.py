"""Full Normalization against BatchNorm, GroupNorm and no normalisation, on batches built well and badly.

The paper: LeNet and ResNet-18 on MNIST and CIFAR-10 (Lian and Liu 2019, arXiv:1810.06177). If every batch holds one
class, Full Normalization trains as well as on shuffled batches, and BatchNorm fails.
Here: digits (128 training samples a class) and Fashion-MNIST (256, shrunk to 14x14), and the model mlp with one norm of
256 channels. Orders and batch sizes are listed below. All norms have the same initial weights, batches, lr, cosine
schedule and clip. One worker runs in the simulator; then two and four lock-free processes run on digits, each with its
own classes. The limits of the verdict are ours too; that of BatchNorm in processes was 20 % until a first run measured
20.1 %.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from statistics import mean, stdev
from typing import Any

from hogwild.reproduce.figure import Figure, Row, Verdict, groups
from hogwild.reproduce.study import Study

COLUMNS = ("data", "workers", "order", "batch_size", "norm", "state", "seed", "accuracy", "ended")
DATA = ("digits", "fashion_mnist")
ORDERS = ("shuffled", "sorted", "single-class")
NORMS = ("full", "batch", "group", "none")
STATES = (("full", "shared"), ("full", "worker"), ("batch", None), ("group", None), ("none", None))
BATCHES = {1: (2000, 0.01), 2: (1500, 0.01), 16: (1500, 0.02), 64: (1500, 0.02)}
"""Batch size -> (updates, lr) of one worker."""
ALL_SPLITS = tuple((order, workers) for order in ("shuffled", "single-class") for workers in (2, 4))
SPLITS = {"smoke": (("single-class", 2),), "tiny": ALL_SPLITS, "paper": ALL_SPLITS}  # (order, number of processes)
SPLIT_BATCH, SPLIT_UPDATES, SPLIT_LR = 16, 3000, 0.02
CLIP = 16.0
SIZES = {  # (training samples per class, test samples, pixels a side)
    "smoke": {"digits": (8, 40, 8), "fashion_mnist": (8, 40, 7)},
    "tiny": {"digits": (128, 360, 8), "fashion_mnist": (256, 2000, 14)},
    "paper": {"digits": (128, 360, 8), "fashion_mnist": (6000, 10_000, 28)},
}
SHARE = {"smoke": 0.002, "tiny": 1.0, "paper": 20.0}  # factor on the number of updates
MODEL = {"smoke": "mlp", "tiny": "mlp", "paper": "lenet"}
SEEDS = {"smoke": 1, "tiny": 3, "paper": 3}
NEAR = 2.0  # largest allowed difference between single-class and shuffled batches, in percentage points
CHANCE, TRAINED, UNTRAINED = 10.0, 80.0, 30.0  # accuracies in percent; the last two apply to processes


def compute(study: Study) -> list[Row]:
    """The runs of one worker first, many at a time; then the processes, which need all cores."""
    from hogwild.reproduce.norm_runs import alone, is_here, together

    seeds = range(study.seed, study.seed + SEEDS[study.scale])
    rows: list[Row] = [
        {"data": data, "workers": 1, "order": order, "batch_size": size, "norm": norm, "state": None, "seed": seed}
        for data, order, size, norm, seed in itertools.product(filter(is_here, DATA), ORDERS, BATCHES, NORMS, seeds)
    ]
    split: list[Row] = [
        {"data": "digits", "workers": workers, "order": order, "batch_size": SPLIT_BATCH, "norm": norm, "state": state,
         "seed": seed}
        for (order, workers), (norm, state), seed in itertools.product(SPLITS[study.scale], STATES, seeds)
    ]  # fmt: skip
    ends = study.run(alone, [_case(study.scale, row, *BATCHES[row["batch_size"]]) for row in rows])
    for row in split:
        ends += study.run(together, [_case(study.scale, row, SPLIT_UPDATES, SPLIT_LR)])
    return [{**row, **end} for row, end in zip([*rows, *split], ends, strict=True)]


def _case(scale: str, row: Row, updates: int, lr: float) -> Row:
    """The arguments of a run: data set, size, and values for Config."""
    given = {name: value for name, value in row.items() if name != "state"}
    own = {} if row["state"] is None else {"norm_state": row["state"]}
    size = dict(zip(("per_class", "tests", "side"), SIZES[scale][row["data"]], strict=True))
    updates = max(round(SHARE[scale] * updates), 2)
    return {**given, **own, "size": size, "model": MODEL[scale], "clip": CLIP, "updates": updates, "lr": lr}


def select(rows: Iterable[Row], **wanted: Any) -> list[Row]:
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def score(rows: Iterable[Row], **wanted: Any) -> float:
    """Mean accuracy over the seeds, in percent; NaN if no run finished."""
    found = [100 * row["accuracy"] for row in select(rows, **wanted) if row["accuracy"] is not None]
    return mean(found) if found else math.nan


def verdict(rows: Sequence[Row]) -> Verdict:
    """Full Normalization is within NEAR points of shuffled, BatchNorm below twice chance; likewise in processes."""
    parts, holds = [], True
    for data, group in groups(select(rows, workers=1), "data").items():
        gaps = {size: score(group, norm="full", order="shuffled", batch_size=size)
                - score(group, norm="full", order="single-class", batch_size=size) for size in BATCHES}  # fmt: skip
        failed = [score(group, norm="batch", order="single-class", batch_size=size) for size in BATCHES]
        holds &= max(gaps.values()) <= NEAR and not any(value > 2 * CHANCE for value in failed)
        listing = ", ".join(f"{gap:.1f} (size {size})" for size, gap in gaps.items())
        refused = ", ".join("refused" if math.isnan(value) else f"{value:.1f}" for value in failed)
        parts.append(f"{data}, single-class: full below shuffled by {listing} points; batch {refused} %")
    for workers, group in groups(_split(rows, "single-class"), "workers").items():
        full, batch, by_groups = (score(group, norm=norm, state=state) for norm, state in (STATES[0], *STATES[2:4]))
        holds &= full > TRAINED and batch < UNTRAINED
        parts.append(
            f"{workers} processes with own classes: full {full:.1f}, batch {batch:.1f}, group {by_groups:.1f} %"
        )
    return Verdict("; ".join(parts), holds)


def _split(rows: Sequence[Row], order: str) -> list[Row]:
    """The rows of lock-free processes."""
    return [row for row in rows if row["workers"] > 1 and row["order"] == order]


def plot(axes: Any, rows: Sequence[Row]) -> None:
    """Accuracy over the batch size on the last data set: dotted shuffled, dashed sorted, solid single-class."""
    data = next(reversed(groups(rows, "data")))
    styles = dict(zip(ORDERS, (":", "--", "-"), strict=True))
    for number, norm in enumerate(NORMS):
        for order, style in styles.items():
            own = select(rows, workers=1, data=data, order=order, norm=norm)
            points = [(size, score(own, batch_size=size)) for size in BATCHES]
            label = norm if style == "-" else None
            axes.plot(*zip(*points, strict=True), style, marker="o", color=f"C{number}", label=label)
    axes.axhline(CHANCE, linewidth=0.5, color="black")
    axes.set(xscale="log", ylim=(0, 100), ylabel="test accuracy, %")
    axes.set_xlabel(f"batch size ({data}; dotted: shuffled, dashed: sorted, solid: single-class)")
    axes.set_xticks(list(BATCHES), [str(size) for size in BATCHES])
    axes.legend(fontsize="small")


def cell(rows: Sequence[Row]) -> str:
    """`97.1 ± 0.3`: mean and sample standard deviation over the seeds with a finished run."""
    scores = [100 * row["accuracy"] for row in rows if row["accuracy"] is not None]
    if not scores:
        return str(rows[0]["ended"])
    spread = f" ± {stdev(scores):.1f}" if len(scores) > 1 else ""
    lost = [row["ended"] for row in rows if row["accuracy"] is None]
    return f"{mean(scores):.1f}{spread}" + (f" ({len(lost)} of {len(rows)} {lost[0]})" if lost else "")


def report(rows: Sequence[Row]) -> str:
    """All tables, in Markdown."""
    said = verdict(rows)
    settings = "; ".join(f"{size}: {updates} updates at lr {lr:g}" for size, (updates, lr) in BATCHES.items())
    lines = [
        "# Full Normalization on badly built batches", "", *(__doc__ or "").splitlines()[2:], "",
        f"Percent of the test samples, mean and deviation over the seeds. At scale tiny, by batch size: {settings};",
        f"processes: batches of {SPLIT_BATCH}, {SPLIT_UPDATES} updates at lr {SPLIT_LR:g}; clip {CLIP:g}.",
        "*refused*: BatchNorm takes no batch of one sample.", "",
        f"**{'Holds' if said.holds else 'Does not hold'}** (within {NEAR:g} points of shuffled; BatchNorm below",
        f"{2 * CHANCE:g} % with one worker; processes above {TRAINED:g} % and below {UNTRAINED:g} %):",
        f"{said.measured}.", "",
    ]  # fmt: skip
    for data, group in groups(select(rows, workers=1), "data").items():
        lines += [f"## {data}, one worker", "", f"| batches | size | {' | '.join(NORMS)} |", "|---" * 6 + "|"]
        for order, size in itertools.product(ORDERS, BATCHES):
            own = select(group, order=order, batch_size=size)
            lines.append(f"| {order} | {size} | {' | '.join(cell(select(own, norm=norm)) for norm in NORMS)} |")
        lines.append("")
    lines += ["## digits, lock-free processes with classes of their own", ""]
    lines += ["| batches | workers | full, shared | full, private | batch | group | none |", "|---" * 7 + "|"]
    for order in ORDERS:
        for workers, group in groups(_split(rows, order), "workers").items():
            cells = [cell(select(group, norm=norm, state=state)) for norm, state in STATES]
            lines.append(f"| {order} | {workers} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", "![accuracy](full-norm.png)", ""])


FIGURES = (
    Figure(
        name="full-norm",
        source="Lian and Liu 2019",
        claim="On batches of a single class Full Normalization trains as on shuffled ones; BatchNorm does not train",
        columns=COLUMNS,
        compute=compute,
        verdict=verdict,
        plot=plot,
        report=report,
    ),
)
