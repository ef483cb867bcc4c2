"""Two plots of a run: the push relative to the memory's speed, and the compute ratio at which a lock begins to cost."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import TYPE_CHECKING

from bench.figures import Figures
from bench.targets import GAP_PUSH

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PROCESSES = 2
KINDS = {"push": "tab:blue", "rival": "tab:gray"}


def draw(figures: Figures, stem: Path) -> list[Path]:
    """Write `<stem>-push.png` and `<stem>-crossover.png`. Writes nothing if matplotlib is not installed."""
    try:
        import matplotlib
    except ImportError:
        return []
    matplotlib.use("Agg")
    drawn = []
    for name, plot in (("push", _push), ("crossover", _crossover)):
        if (figure := plot(figures)) is not None:
            drawn.append(stem.with_name(f"{stem.name}-{name}.png"))
            figure.savefig(drawn[-1], dpi=110, bbox_inches="tight", metadata={"Software": None})
    return drawn


def _push(figures: Figures) -> Figure | None:
    """Nanoseconds per parameter of all contestants, one panel a size."""
    from matplotlib.figure import Figure

    runs = [run for run in figures.pushes if run.group.endswith(GAP_PUSH)]
    if not runs:
        return None
    figure = Figure(figsize=(4.6 * len(runs), 3.6))
    for axes, run in zip(figure.subplots(1, len(runs), squeeze=False)[0], runs, strict=True):
        lines = [line for line in run.lines.values() if line.kind in ("push", "rival")][::-1]
        bars = axes.barh([line.name for line in lines], [line.ns for line in lines])
        for bar, line in zip(bars, lines, strict=True):
            bar.set_color(KINDS[line.kind])
        axes.bar_label(bars, fmt="%.2f", padding=2, fontsize="small")
        ideal = 36 / run.bound.gbps
        axes.axvline(ideal, color="tab:green", linestyle="--", label=f"36 B at {run.bound.gbps:.0f} GB/s")
        axes.set(title=f"n = {run.size}", xlabel="ns per parameter", xlim=(0, 1.2 * max(line.ns for line in lines)))
        axes.legend(fontsize="small", loc="lower right")
        if axes is not figure.axes[0]:
            axes.set_yticklabels([])
    figure.suptitle("Push: gap + shifted momentum, float32, one thread", y=1.04)
    return figure


def _crossover(figures: Figures) -> Figure | None:
    """Throughput of two processes, relative to pushes one after the other, over compute / step."""
    from matplotlib.figure import Figure

    if figures.sweep is None:
        return None
    points = figures.sweep["points"]
    step_s = statistics.median(point["step_s"] for point in points)
    ratios = [point["compute_s"] / point["step_s"] for point in points]
    figure = Figure(figsize=(6.4, 4.2))
    axes = figure.subplots()
    fine = [max(ratios) * i / 200 for i in range(201)]
    free = [PROCESSES / (1 + r) for r in fine]
    axes.plot(fine, free, "--", color="tab:blue", label="model, lock-free: P / (t_c + t_s)")
    axes.plot(fine, [min(1.0, y) for y in free], "--", color="tab:red", label="model, one lock: at most 1 / t_s")
    for name, color in (("racing", "tab:blue"), ("striped", "tab:orange"), ("locked", "tab:red"), ("one", "tab:gray")):
        label = "one process" if name == "one" else f"{name}, 2 processes"
        axes.plot(ratios, [p[name].median * step_s for p in points], "o", color=color, label=label)
    axes.axvline(PROCESSES - 1, color="black", linewidth=0.8)
    axes.annotate("P* = 1 + t_c / t_s = 2", (PROCESSES - 1, 0.05), textcoords="offset points", xytext=(4, 0))
    axes.set(
        xlabel="compute / step, t_c / t_s", ylabel="pushes per t_s", ylim=(0, None),
        title=f"{figures.sweep['n'] / (1 << 20):.0f} M parameters, t_s = {step_s * 1e3:.2f} ms",
    )  # fmt: skip
    axes.legend(fontsize="small")
    return figure
