"""Time to accuracy of 16 boxes of 8 workers on networks of three bandwidths, in the simulator.

The paper: Douillard et al. 2023 (arXiv:2311.08105) and those of the other algorithms compare what travels with averages
of every step, and not the time on a network; this comparison is ours.
Here: a gradient takes 45 ms on average, and a model has 16 M parameters, so that it travels 1.1, 11.4 or 114 gradients
at 10, 1 and 0.1 Gbit/s in float32; the model that is trained is smaller, and its bytes travel for as long. Latency 0.02
gradients. Tiny: digits to accuracy 0.85 at 1 Gbit/s, one period; small: all networks, periods and wires; paper:
Fashion-MNIST to 0.75. Times are in gradients: when the mean of all boxes first has the accuracy. `step` is the average
of all boxes after every 8 updates of each, while their workers wait, in the place of all-reduce; it sends and receives
as much as a ring of all boxes. `alone`: boxes that never exchange.

The boxes have different data: the samples of each class are dealt out in shares of Dirichlet(0.3). With equal data the
mean of boxes that never exchange comes as far in the same time, on a task as easy as digits, and the table would only
say what it costs to wait.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hogwild.reproduce.figure import SCALES, Figure, Row, Verdict, groups
from hogwild.reproduce.study import Study

COLUMNS = (
    "data", "network", "algorithm", "period", "wire", "time", "accuracy", "updates", "exchanges", "models",
)  # fmt: skip
NETWORKS = {"10 Gbit/s": 1.14, "1 Gbit/s": 11.4, "0.1 Gbit/s": 114.0}
"""Name -> the time in which a model travels."""

METHODS: dict[str, dict[str, Any]] = {
    "ad-psgd": {"between": "ad-psgd"},
    "easgd": {"between": "easgd"},
    "async-diloco": {"between": "async-diloco"},
    "diloco": {"between": "diloco", "between_options": "outer_lr=0.7,outer_momentum=0.5"},
    "step": {"between": "local-sgd", "between_wait": "crew"},
    "alone": {"between": "ad-psgd"},
}
CONTROLS = {"step": "averages of every step", "alone": "without exchanges"}
PERIODS = (8, 32, 128)
CASES = [
    ("step", 8, "f32"),
    ("alone", None, "f32"),
    *((method, 32, "f32") for method in ("ad-psgd", "easgd", "async-diloco", "diloco")),
    *(("ad-psgd", period, "int8") for period in PERIODS),
    *((method, period, "f32") for method in ("ad-psgd", "easgd", "async-diloco", "diloco") for period in (8, 128)),
]
"""Method, period (None: longer than the run) and wire. Those of the tiny scale come first."""
DIGITS = {"boxes": 16, "workers": 8, "updates": 19200, "samples": 1437, "tests": 360, "accuracy": 0.85, "lr": 0.05}
SIZES = {
    "smoke": {"boxes": 2, "workers": 2, "updates": 60, "samples": 300, "tests": 100, "accuracy": 0.3},
    "tiny": DIGITS,
    "small": DIGITS,
    "paper": {**DIGITS, "updates": 96000, "samples": 20000, "tests": 2000, "accuracy": 0.75},
}
ALL = (tuple(NETWORKS), len(CASES))
PICKED = {"smoke": (("1 Gbit/s",), 3), "tiny": (("1 Gbit/s",), 6), "small": ALL, "paper": ALL}
"""The networks and the number of CASES of a scale."""
NEVER = 10**9
SHARD = "dirichlet:0.3"  # of the training set, among the boxes

CLAIM = (
    "on a slow network, boxes that exchange and do not wait for one another come to an accuracy sooner than with "
    "averages of every step, and sooner than without exchanges"
)


def compute(study: Study) -> list[Row]:
    from hogwild.reproduce.box_runs import time_to

    networks, count = PICKED[study.scale]
    data = study.data if study.scale == "paper" else "digits"
    cases = [(network, *case) for network in networks for case in CASES[:count]]
    values = [
        {
            "data": data, "travel": NETWORKS[network], "latency": 0.02, "seed": study.seed,
            "between_period": period or NEVER, "between_wire": wire, "between_shard": SHARD, **METHODS[method],
            **SIZES[study.scale],
        }
        for network, method, period, wire in cases
    ]  # fmt: skip
    found = study.run(time_to, values)
    return [
        {"data": data, "network": network, "algorithm": method, "period": period, "wire": wire, **result}
        for (network, method, period, wire), result in zip(cases, found, strict=True)
    ]


def verdict(rows: Sequence[Row]) -> Verdict:
    """The fastest of each network, beside CONTROLS."""
    parts, holds = [], True
    for network, those in groups(rows, "network").items():
        others = {row["algorithm"]: row["time"] for row in those if row["algorithm"] in CONTROLS}
        first = best([row for row in those if row["algorithm"] not in CONTROLS])
        if first is None:
            return Verdict(f"{network}: no algorithm reached the accuracy", False)
        parts.append(
            f"{network}: {first['algorithm']} every {first['period']} updates ({first['wire']}) {first['time']:.0f}"
            + "".join(f", {CONTROLS[name]} {_time(time)}" for name, time in others.items())
        )
        if network != "10 Gbit/s":
            holds &= all(time is None or first["time"] < time for time in others.values())
    return Verdict("; ".join(parts), holds)


def best(rows: Sequence[Row]) -> Row | None:
    """The fastest of these rows."""
    return min((row for row in rows if row["time"] is not None), key=lambda row: row["time"], default=None)


def _time(time: float | None) -> str:
    return "never" if time is None else f"{time:.0f}"


def plot(axes: Any, rows: Sequence[Row]) -> None:
    """Time to the accuracy over the bandwidth, a line for each algorithm, at its best period and wire."""
    for name, those in groups(rows, "algorithm").items():
        found = [row for part in groups(those, "network").values() if (row := best(part)) is not None]
        points = [(float(row["network"].split()[0]), row["time"]) for row in found]
        if not points:
            continue
        axes.plot(*zip(*points, strict=True), "o-", label=name)
        for row, (x, y) in zip(found, points, strict=True):
            label = f"{row['period'] or ''}{'' if row['wire'] == 'f32' else ', ' + row['wire']}"
            axes.annotate(label, (x, y), xytext=(4, 4), textcoords="offset points", fontsize="x-small")
    axes.set(xscale="log", yscale="log", xlabel="bandwidth (Gbit/s)", ylabel="time to the accuracy (gradients)")
    axes.legend(fontsize="small", title="at its best period and wire", title_fontsize="x-small")


def report(rows: Sequence[Row]) -> str:
    """The page: which period and wire for which network, and all runs."""
    lines = [
        "# Boxes\n", f"{__doc__ or ''}".strip() + "\n", "![time to the accuracy over the bandwidth](boxes.png)\n",
        "## Which period and wire\n",
        "| network | algorithm | period | wire | time to accuracy |", "|---|---|---|---|---|",
    ]  # fmt: skip
    for network, those in groups(rows, "network").items():
        for name, part in groups(those, "algorithm").items():
            row = best(part)
            found = f"{row['period'] or '-'} | {row['wire']} | {_time(row['time'])}" if row else "- | - | never"
            lines.append(f"| {network} | {name} | {found} |")
    lines += [
        "\n## All runs\n",
        "| network | algorithm | period | wire | time to accuracy | accuracy at the end | updates | exchanges | models "
        "moved per box |", "|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for row in rows:
        lines.append(
            f"| {row['network']} | {row['algorithm']} | {row['period'] or '-'} | {row['wire']} | "
            f"{_time(row['time'])} | {row['accuracy']:.3f} | {row['updates']} | {row['exchanges']} | "
            f"{row['models']:.1f} |"
        )
    return "\n".join(lines) + "\n"


FIGURES = (
    Figure(
        name="boxes",
        source="ours",
        claim=CLAIM,
        columns=COLUMNS,
        compute=compute,
        verdict=verdict,
        plot=plot,
        report=report,
        scales=SCALES,
    ),
)
