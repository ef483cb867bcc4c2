"""How old gradients were, and how far the model had moved meanwhile: the delays and gaps of runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from hogwild.report import page
from hogwild.report.advice import mean_delay
from hogwild.report.chart import Line, columns, lines
from hogwild.report.curves import curves, spans_decades
from hogwild.report.curves import key as key_of
from hogwild.report.record import Record


def distributions(runs: Sequence[Record]) -> Iterator[str]:
    yield delays(runs)
    yield from gap_sizes(runs)
    yield gaps(runs)
    yield from row_delay_sizes(runs)
    yield from row_delays(runs)


def delays(runs: Sequence[Record]) -> str:
    caption, groups = "Delays", {}
    for run in runs:
        counts = run.summary.get("delay_histogram") or {}
        total = sum(counts.values())
        if total:
            groups[run.name] = {float(delay): count / total for delay, count in counts.items()}
    if not groups:
        return page.words(caption, "No push with a delay was counted.")
    longest = max(max(group) for group in groups.values())
    width = max(1.0, math.ceil((longest + 1) / 60))  # delays in one column
    merged = {name: _merged(group, width) for name, group in groups.items()}
    means = [f"{run.name}: {mean_delay(run):.2f} on average" for run in runs if run.name in groups]
    finding = f"Pushes of other workers between a worker's pull and its push. {'; '.join(means)}."
    rows = [[f"{delay:g}", *(f"{group.get(delay, 0):.4f}" for group in groups.values())] for delay in sorted(
        {delay for group in groups.values() for delay in group})]  # fmt: skip
    numbers = page.table("Share of the pushes", ["delay", *groups], rows)
    key = {name: look for look, name in enumerate(groups)} if len(groups) > 1 else None
    return page.figure(caption, finding, columns(merged, "delay", width=width), key=key, numbers=numbers)


def _merged(group: Mapping[float, float], width: float) -> dict[float, float]:
    """Columns of `width` delays, each at its middle."""
    found: dict[float, float] = {}
    for delay, share in group.items():
        place = (delay // width) * width + (width - 1) / 2
        found[place] = found.get(place, 0.0) + share
    return found


def gaps(runs: Sequence[Record]) -> str:
    caption = "Gap"
    if any(run.pushes for run in runs):
        drawn = [
            Line(run.name, [(row["push"], row["gap_rms"]) for row in run.pushes], look) for look, run in enumerate(runs)
        ]
        what, x = "of each push", "pushes"
    else:
        drawn, what, x = curves(runs, "gap_rms", "updates"), "of all pushes so far", "updates"
    drawn = [line for line in drawn if len(line.points) > 1 and any(value > 0 for _, value in line.points)]
    if not drawn:
        return page.words(caption, "No distance between the model and a worker's copy was measured.")
    finding = f"How far the model had moved since a worker's pull: root mean square over parameters, {what}."
    return page.figure(caption, finding, lines(drawn, x, log=spans_decades(drawn)), key=key_of(drawn))


def gap_sizes(runs: Sequence[Record]) -> Iterator[str]:
    """The histogram of the gaps; nothing for runs of version 0.1, which counted none."""
    yield from _histogram(
        runs,
        "gap_histogram",
        "Gaps",
        "Shares of the pushes by the power of two that their gap begins with: root mean square over parameters, of "
        "pushes that had one.",
        "gap, from",
        place=lambda power: power,
        words=lambda power: f"2^{power:.0f}",
    )


def row_delay_sizes(runs: Sequence[Record]) -> Iterator[str]:
    """The histogram of the delays of rows; nothing without tables."""
    yield from _histogram(
        runs,
        "row_delay_histogram",
        "Row delays",
        "Shares of the rows that were pushed by the pushes of others that touched them since they were looked up.",
        "pushes of others",
        place=lambda least: math.log2(least) + 1 if least >= 1 else 0.0,
        words=lambda least: f"{least:.0f}" if least < 2 else f"{least:.0f}-{2 * least - 1:.0f}",
    )


def _histogram(
    runs: Sequence[Record],
    key: str,
    caption: str,
    finding: str,
    label: str,
    *,
    place: Callable[[float], float],
    words: Callable[[float], str],
) -> Iterator[str]:
    """The counts that the summaries have as `key`, by the least value of each bin: where its column stands (`place`),
    and its name in `words`.
    """
    groups = {}
    for run in runs:
        counts = run.summary.get(key) or {}
        if total := sum(counts.values()):
            groups[run.name] = {float(least): count / total for least, count in counts.items()}
    if not groups:
        return
    bins = sorted({least for group in groups.values() for least in group})
    names = {place(least): words(least) for least in bins}
    rows = [[words(least), *(f"{group.get(least, 0):.4f}" for group in groups.values())] for least in bins]
    placed = {name: {place(x): y for x, y in group.items()} for name, group in groups.items()}
    yield page.figure(
        caption,
        finding,
        columns(placed, label, names=names),
        key={name: look for look, name in enumerate(groups)} if len(groups) > 1 else None,
        solid=True,
        numbers=page.table(f"{caption}: shares", [label, *groups], rows),
    )


def row_delays(runs: Sequence[Record]) -> Iterator[str]:
    """The delay of the rows of tables over the run; nothing without tables."""
    drawn = []
    for look, run in enumerate(runs):
        found = [(event.get("updates"), event.get("interval", {}).get("row_delay")) for event in run.of("train")]
        points = [(float(at), float(delay["mean"])) for at, delay in found if at is not None and delay]
        if len(points) > 1:
            drawn.append(Line(run.name, points, look))
    if drawn:
        finding = "Pushes of others that touched a row since it was looked up, mean over the rows that were pushed."
        yield page.figure("Row delay", finding, lines(drawn, "updates"), key=key_of(drawn))
