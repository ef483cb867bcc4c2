"""`python -m bench.first_page` draws the picture of README.md, docs/first-page.svg, from recorded results.

Left, docs/results/stragglers.csv: the time that one slow worker costs. Right, comparison-fashion-mnist.csv: the
accuracy with growing delay, for plain SGD and for remedies. docs/results/*.md describe both simulated clusters.
"""

from __future__ import annotations

import csv
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DOCS = Path(__file__).parents[1] / "docs"
STRAGGLERS = {"ssgd": ("synchronous (ssgd)", "black"), "easgd": ("asynchronous (easgd)", "C0")}  # label, colour
DELAYS = {
    "ssgd": ("synchronous (ssgd)", "black"),
    "asgd": ("asynchronous, no cure (asgd)", "C3"),
    "dana-zero": ("look-ahead (dana-zero)", "C0"),
    "dana-ga": ("look-ahead and gap penalty (dana-ga)", "C2"),
    "staleness-aware": ("lr / delay (staleness-aware)", "C1"),
}
Curve = Mapping[int, float]


def main() -> None:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "hogwild"})  # small, and equal at each drawing
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.3), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.set(xscale="log", xlabel="one worker is slower by", yscale="log", title="Relative time, 16 workers")
    left.set(xticks=(1, 2, 10, 100), xticklabels=("1x", "2x", "10x", "100x"))
    left.set(yticks=(1, 10, 100), yticklabels=("1", "10", "100"), ylim=(0.8, 120))
    _draw(left, STRAGGLERS, {name: straggler_curve(name) for name in STRAGGLERS})
    right.set(xscale="log", xlabel="workers (the delay is one less)", ylim=(0, 1), title="Test accuracy after 3 epochs")
    right.set(xticks=(1, 4, 8, 16, 32, 64), xticklabels=("1", "4", "8", "16", "32", "64"))
    _draw(right, DELAYS, {name: delay_curve(name) for name in DELAYS})
    figure.savefig(DOCS / "first-page.svg", metadata={"Date": None})


def _draw(axes: Axes, styles: Mapping[str, tuple[str, str]], curves: Mapping[str, Curve]) -> None:
    for name, curve in curves.items():
        label, color = styles[name]
        axes.plot([*curve.keys()], [*curve.values()], "o-", color=color, label=label, markersize=4)
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")


def straggler_curve(algorithm: str) -> Curve:
    """Slowdown of one worker -> virtual time of the run over that of ssgd without a slow worker."""
    rows = _rows("stragglers.csv", kind="virtual", algorithm=algorithm)
    return {int(row["slowdown"]): float(row["value"]) for row in rows}


def delay_curve(algorithm: str) -> Curve:
    """Number of workers -> mean test accuracy over the seeds, all workers equally fast."""
    found: dict[int, list[float]] = {}
    for row in _rows("comparison-fashion-mnist.csv", clock="gamma:cv=0.1", algorithm=algorithm):
        found.setdefault(int(row["workers"]), []).append(float(row["score"]))
    return {workers: statistics.mean(scores) for workers, scores in sorted(found.items())}


def _rows(name: str, **wanted: str) -> Sequence[Mapping[str, str]]:
    with open(DOCS / "results" / name, newline="") as file:
        return [row for row in csv.DictReader(file) if all(row[key] == value for key, value in wanted.items())]


if __name__ == "__main__":
    main()
