"""The page of a contest, its CSV and its plots."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.contest.parts import Part, from_csv, parts_of, to_csv, with_new
from bench.contest.plan import FURTHER, RUN, TUNED, Row, mark, median
from bench.contest.tasks import BATCH_SIZE, SITUATIONS, TASKS

STEM = "contest"
HOW = f"""\
Two processes on this machine, batches of {BATCH_SIZE}, start-up left out, and evaluation too: copies of the model are
scored when a run is over. Every method has the learning rate that was most accurate in shorter runs. Three rates were
tried, and at most {FURTHER} more: while the best was the least or the greatest so far, half of it or twice of it. With
`<` or `>` it is the least or the greatest even so. The times are medians (least to greatest) over the repeats, in which
the methods take turns. A slow worker sleeps in its data, alike for all methods. *DDP* is torch's
DistributedDataParallel over gloo; *plain shared loop* is a loop of plain PyTorch, in which each process takes the next
batch from a common counter and has an optimizer of its own. Names in bold are algorithms of this package. Methods that
do not win are in the table too.
"""


def write(rows: Sequence[Row], folder: Path, command: str, machine: Mapping[str, Any], day: str) -> list[Path]:
    """contest.md, contest.csv and a plot of each task, if matplotlib is installed. Tasks that are in the CSV of that
    folder, and were not run now, stay.
    """
    folder.mkdir(parents=True, exist_ok=True)
    table, page = folder / f"{STEM}.csv", folder / f"{STEM}.md"
    facts = f"{machine['cpu']}, {machine['cores']} cores, torch {machine['torch']}"
    parts = with_new(from_csv(table), parts_of(rows, day, facts, command))
    to_csv(parts, table)
    plots = {part.task: plot for part in parts if (plot := _plot(part, folder)) is not None}
    page.write_text(markdown(parts, {task: plot.name for task, plot in plots.items()}))
    return [page, table, *plots.values()]


def markdown(parts: Sequence[Part], plots: Mapping[str, str]) -> str:
    told = [f"# Contest: time to accuracy\n\nOne row per run: {STEM}.csv beside this file.\n", HOW]
    for part in parts:
        name, task = part.task, TASKS[part.task]
        told.append(f"## {name}: {task.model} on {task.data}, {task.rule}, to accuracy {task.target:g}\n")
        told.append(f"{part.day}, {part.machine}.{_short_lists(part)}\n\n```sh\n{part.command}\n```\n")
        if name in plots:
            told.append(f"![Seconds to the accuracy, {name}]({plots[name]})\n")
        for situation, meaning in SITUATIONS.items():
            if found := _lines(part.rows, situation):
                told.append(f"### {name}, {situation}: {meaning}\n")
                told.append("\n".join(["| method | lr | seconds to accuracy | last accuracy | samples/s |",
                                       "| --- | --- | --- | --- | --- |", *found]) + "\n")  # fmt: skip
    return "\n".join(told)


def _short_lists(part: Part) -> str:
    """A sentence where an end was the best of three rates, and no more were tried."""
    tried = _by_method(row for row in part.rows if row.kind == TUNED)
    listed = len(TASKS[part.task].lrs)
    return " Only three rates were tried." if any(mark(t) and len(t) == listed for t in tried.values()) else ""


def _lines(rows: Sequence[Row], situation: str) -> list[str]:
    """Those of the quickest methods first; ours in bold."""
    by_method = _by_method(row for row in rows if (row.situation, row.kind) == (situation, RUN))
    tried = _by_method(row for row in rows if row.kind == TUNED)
    ordered = sorted(by_method.items(), key=lambda item: _order(item[1]))
    return [
        f"| {f'**{name}**' if found[0].is_ours else name} | {mark(tried[name])}{found[0].lr:g} | {_times(found)} | "
        f"{_spread([row.accuracy for row in found], '.3f')} | {_spread([row.samples_per_s for row in found], ',.0f')} |"
        for name, found in ordered
    ]


def _by_method(rows: Iterable[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.method, []).append(row)
    return found


def _order(found: Sequence[Row]) -> tuple[bool, float, float]:
    middle = median([row.to_target_s for row in found])
    return middle is None, middle or 0.0, -statistics.median(row.accuracy for row in found)


def _times(found: Sequence[Row]) -> str:
    times = [row.to_target_s for row in found]
    missed = sum(time is None for time in times)
    if (middle := median(times)) is None:
        return f"not reached ({missed} of {len(times)})"
    known = [time for time in times if time is not None]
    spread = f" ({min(known):.2f} to {max(known):.2f})" if len(times) > 1 else ""
    return f"{middle:.2f}{spread}" + (f", {missed} of {len(times)} not reached" if missed else "")


def _spread(values: Sequence[float], form: str) -> str:
    middle = format(statistics.median(values), form)
    return middle if len(values) == 1 else f"{middle} ({min(values):{form}} to {max(values):{form}})"


def _plot(part: Part, folder: Path) -> Path | None:
    """Seconds to the accuracy of every run, a panel per situation. None if matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return None
    runs = [row for row in part.rows if row.kind != TUNED]
    situations = [name for name in SITUATIONS if any(row.situation == name for row in runs)]
    names = list(dict.fromkeys(row.method for row in runs))[::-1]
    figure = Figure(figsize=(4.2 * len(situations), 0.4 * len(names) + 1.2))
    for axes, situation in zip(figure.subplots(1, len(situations), squeeze=False)[0], situations, strict=True):
        for row in runs:
            if row.situation == situation and row.to_target_s is not None:
                colour = "tab:blue" if row.is_ours else "tab:gray"
                axes.plot(row.to_target_s, names.index(row.method), "o", color=colour, alpha=0.7)
        axes.set(title=situation, xlabel="seconds", ylim=(-0.5, len(names) - 0.5), yticks=range(len(names)))
        axes.set_yticklabels(names if axes is figure.axes[0] else [])
        axes.set_xlim(left=0)
        axes.grid(axis="x", alpha=0.3)
    path = folder / f"{STEM}-{part.task}.png"
    figure.savefig(path, dpi=110, bbox_inches="tight", metadata={"Software": None})
    return path
