"""The page of one run, or of a few beside each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from hogwild.report import boxes, page
from hogwild.report.advice import advice
from hogwild.report.chart import Line, lines
from hogwild.report.curves import curves, ends, key, spans_decades
from hogwild.report.distributions import distributions
from hogwild.report.record import AXES, Point, Record, differing
from hogwild.report.scale import number
from hogwild.report.workers import section

SUMMARY = {
    "exit_reason": "ended", "updates": "updates", "samples": "samples", "train_loss": "train loss",
    "test_loss": "test loss", "test_accuracy": "test accuracy", "wall_s": "wall time, s",
    "virtual_s": "virtual time, s",
    "samples_per_s": "samples/s", "delay": "mean delay", "gap_rms": "gap, rms", "refused": "refused",
    "dropped": "dropped", "row_delay": "row delay", "shared_rows": "rows with a delay", "faults": "faults",
    "boxes": "boxes", "boxes_share": "updates of each box", "exchanges": "exchanges between boxes",
    "exchanges_refused": "exchanges refused", "exchanges_late": "exchanges late",
    "spread_rms": "spread of the boxes, rms",
    "timeline_lost": "records of the timeline that were lost",
}  # fmt: skip
FEW_POINTS = 40  # rows of a table of numbers


def write(runs: Sequence[Record]) -> str:
    """The page of these runs, as HTML."""
    title = boxes.title(runs) if boxes.are_boxes(runs) else runs[0].name if len(runs) == 1 else f"{len(runs)} runs"
    return page.page(title, parts(runs))


def parts(runs: Sequence[Record]) -> Iterator[str]:
    for run in runs:
        if text := advice(run):
            yield page.paragraph(text if len(runs) == 1 else f"{run.name}: {text}", "advice")
    yield _summary(runs)
    if boxes.are_boxes(runs):
        yield page.paragraph(
            "Updates, samples and exchanges of box 0 are the sums over all boxes that came to their end."
        )
    if len(runs) > 1:
        yield _differences(runs)
    yield page.heading("What was learned")
    for y in dict.fromkeys(name for run in runs for name in run.measured() if _is_learned(name)):
        yield from _learned(runs, y)
    yield page.heading("What asynchrony did")
    yield from distributions(runs)
    yield from _edge(runs)
    if are_boxes := boxes.are_boxes(runs):
        yield from boxes.section(runs)
    for run in runs:
        yield from section(run, alone=len(runs) == 1, has_timeline=not are_boxes)
    yield page.heading("Options")
    yield _options(runs)


# ---- figures --------------------------------------------------------------------------------------------------------


def _learned(runs: Sequence[Record], y: str) -> Iterator[str]:
    """The curve over samples, and folded away those over seconds and updates."""
    others = []
    for x in AXES:
        drawn = curves(runs, y, x)
        if all(len(line.points) < 2 for line in drawn):
            if x == "samples":
                yield page.words(_named(y), _single(drawn))
            continue
        unit = f"{_clock(runs)} seconds" if x == "time" else AXES[x]
        caption = _named(y) if x == "samples" else f"{_named(y)} over {unit}"
        finding = "; ".join(ends(line) for line in drawn) + "."
        chart = lines(drawn, unit, log=spans_decades(drawn))
        figure = page.figure(caption, finding, chart, key=key(drawn), numbers=_numbers(caption, drawn, unit))
        if x == "samples":
            yield figure
        else:
            others.append(figure)
    if others:
        yield f"<details><summary>The same over seconds and updates</summary>{''.join(others)}</details>"


def _edge(runs: Sequence[Record]) -> Iterator[str]:
    """The learning rate against the largest stable one, where --edge-every measured it."""
    drawn = []
    for look, run in enumerate(runs):
        points: list[Point] = [(float(event["updates"]), float(event["ratio"])) for event in run.of("edge")]
        if points:
            drawn.append(Line(run.name, points, look))
    if drawn:
        chart = lines(drawn, "updates", levels={"the edge of stability": 1.0})
        finding = "; ".join(ends(line) for line in drawn) + ". Above 1 the sharpest direction is unstable."
        yield page.figure("Learning rate over the largest stable one", finding, chart, key=key(drawn))


# ---- tables ---------------------------------------------------------------------------------------------------------


def _summary(runs: Sequence[Record]) -> str:
    names = [name for name in SUMMARY if any(name in run.summary for run in runs)]
    rows = [[SUMMARY[name], *(_shown(name, run.summary.get(name)) for run in runs)] for name in names]
    extra = [name for run in runs for name in run.summary if _is_metric(name) and name not in SUMMARY]
    rows += [[name, *(_shown(name, run.summary.get(name)) for run in runs)] for name in dict.fromkeys(extra)]
    return page.table("How it ended", ["result", *(run.name for run in runs)], rows)


def _differences(runs: Sequence[Record]) -> str:
    found = differing(runs)
    if not found:
        return page.words("What differs", "All runs have the same options.")
    rows = [[name, *map(_option, values)] for name, values in found.items()]
    return page.table("What differs", ["option", *(run.name for run in runs)], rows)


def _options(runs: Sequence[Record]) -> str:
    rest = [name for name in runs[0].values if name not in differing(runs)]
    rows = [[name, _option(runs[0].values[name])] for name in rest]
    caption = "Options" if len(runs) == 1 else "Options that all runs share"
    return f"<details><summary>{caption}</summary>{page.table(caption, ['option', 'value'], rows)}</details>"


def _numbers(caption: str, drawn: Sequence[Line], unit: str) -> str:
    """The last points of each line, with their places: lines may have points at different places."""
    rows = [[line.name, number(x), number(y)] for line in drawn for x, y in line.points[-FEW_POINTS:]]
    return page.table(f"{caption}: the last {FEW_POINTS} values of each line", ["run", unit, "value"], rows)


# ---- words ----------------------------------------------------------------------------------------------------------


def _shown(name: str, value: Any) -> str:
    if name == "delay" and isinstance(value, dict):
        value = value.get("mean")
    if isinstance(value, bool) or value is None:
        return "" if value is None else str(value)
    if isinstance(value, int):
        return f"{value:,}"
    return number(value) if isinstance(value, float) else str(value)


def _option(value: Any) -> str:
    return "" if value is None else str(value)


def _single(drawn: Sequence[Line]) -> str:
    """In place of a curve of one point."""
    if not drawn:
        return "No finite value of it was recorded."
    return "; ".join(f"{line.name}: {number(line.points[-1][1])}" for line in drawn) + ", the only value recorded."


def _is_metric(name: str) -> bool:
    return name.startswith(("test_", "validation_", "ema_"))


def _is_learned(name: str) -> bool:
    return name == "train_loss" or _is_metric(name)


def _named(y: str) -> str:
    return y.replace("_", " ").capitalize()


def _clock(runs: Sequence[Record]) -> str:
    kinds = {run.is_virtual for run in runs}
    return "virtual" if kinds == {True} else "wall" if kinds == {False} else "wall or virtual"
