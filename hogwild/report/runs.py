"""The page of one run, or of a few beside each other."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hogwild.report import page
from hogwild.report.advice import PHASES, advice, ended, mean_delay, times
from hogwild.report.chart import Line, columns, lines, shares
from hogwild.report.record import AXES, Point, Record, differing
from hogwild.report.scale import number

SUMMARY = {
    "exit_reason": "ended", "updates": "updates", "samples": "samples", "train_loss": "train loss",
    "test_loss": "test loss", "test_accuracy": "test accuracy", "wall_s": "wall time, s",
    "virtual_s": "virtual time, s",
    "samples_per_s": "samples/s", "delay": "mean delay", "gap_rms": "gap, rms", "refused": "refused",
    "dropped": "dropped", "faults": "faults",
}  # fmt: skip
FEW_POINTS = 40  # rows of a table of numbers
MOST_FAULTS = 50


def write(runs: Sequence[Record]) -> str:
    """The page of these runs, as HTML."""
    title = runs[0].name if len(runs) == 1 else f"{len(runs)} runs"
    return page.page(title, parts(runs))


def parts(runs: Sequence[Record]) -> Iterator[str]:
    for run in runs:
        if text := advice(run):
            yield page.paragraph(text if len(runs) == 1 else f"{run.name}: {text}", "advice")
    yield _summary(runs)
    if len(runs) > 1:
        yield _differences(runs)
    yield page.heading("What was learned")
    for y in dict.fromkeys(name for run in runs for name in run.measured() if _is_learned(name)):
        yield from _learned(runs, y)
    yield page.heading("What asynchrony did")
    yield _delays(runs)
    yield _gaps(runs)
    yield from _edge(runs)
    for run in runs:
        yield from _workers(run, alone=len(runs) == 1)
    yield page.heading("Options")
    yield _options(runs)


# ---- figures --------------------------------------------------------------------------------------------------------


def _learned(runs: Sequence[Record], y: str) -> Iterator[str]:
    """The curve over samples, and folded away those over seconds and updates."""
    others = []
    for x in AXES:
        drawn = _curves(runs, y, x)
        if all(len(line.points) < 2 for line in drawn):
            if x == "samples":
                yield page.words(_named(y), _single(drawn))
            continue
        unit = f"{_clock(runs)} seconds" if x == "time" else AXES[x]
        caption = _named(y) if x == "samples" else f"{_named(y)} over {unit}"
        finding = "; ".join(_ends(line) for line in drawn) + "."
        chart = lines(drawn, unit, log=spans_decades(drawn))
        figure = page.figure(caption, finding, chart, key=_key(drawn), numbers=_numbers(caption, drawn, unit))
        if x == "samples":
            yield figure
        else:
            others.append(figure)
    if others:
        yield f"<details><summary>The same over seconds and updates</summary>{''.join(others)}</details>"


def _curves(runs: Sequence[Record], y: str, x: str) -> list[Line]:
    found = [Line(run.name, run.curve(y, x), look) for look, run in enumerate(runs)]
    return [line for line in found if any(math.isfinite(value) for _, value in line.points)]


def _delays(runs: Sequence[Record]) -> str:
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


def _gaps(runs: Sequence[Record]) -> str:
    caption = "Gap"
    if any(run.pushes for run in runs):
        drawn = [
            Line(run.name, [(row["push"], row["gap_rms"]) for row in run.pushes], look) for look, run in enumerate(runs)
        ]
        what, x = "of each push", "pushes"
    else:
        drawn, what, x = _curves(runs, "gap_rms", "updates"), "of all pushes so far", "updates"
    drawn = [line for line in drawn if len(line.points) > 1 and any(value > 0 for _, value in line.points)]
    if not drawn:
        return page.words(caption, "No distance between the model and a worker's copy was measured.")
    finding = f"How far the model had moved since a worker's pull: root mean square over parameters, {what}."
    return page.figure(caption, finding, lines(drawn, x, log=spans_decades(drawn)), key=_key(drawn))


def _edge(runs: Sequence[Record]) -> Iterator[str]:
    """The learning rate against the largest stable one, where --edge-every measured it."""
    drawn = []
    for look, run in enumerate(runs):
        points: list[Point] = [(float(event["updates"]), float(event["ratio"])) for event in run.of("edge")]
        if points:
            drawn.append(Line(run.name, points, look))
    if drawn:
        chart = lines(drawn, "updates", levels={"the edge of stability": 1.0})
        finding = "; ".join(_ends(line) for line in drawn) + ". Above 1 the sharpest direction is unstable."
        yield page.figure("Learning rate over the largest stable one", finding, chart, key=_key(drawn))


def _workers(run: Record, *, alone: bool) -> Iterator[str]:
    caption = "Workers" if alone else f"Workers of {run.name}"
    closing = ended(run)
    if not closing:
        yield page.words(caption, "No worker wrote its closing line.")
        return
    spent = times(run)
    rows = [
        [
            f"worker {event.get('worker')}", event.get("pushes", ""), f"{event.get('samples', 0):,}",
            number(float(event.get("delay_mean") or 0.0)), event.get("delay_max", ""), event.get("refused", ""),
            *(number(float(event.get(f"{name}_s") or 0.0)) for name in PHASES),
        ]
        for event in closing
    ]  # fmt: skip
    head = ["", "pushes", "samples", "mean delay", "largest", "refused", *(f"{name}, s" for name in PHASES)]
    numbers = page.table("Closing lines of the workers", head, rows)
    if spent:
        shown = {f"worker {worker}": row for worker, row in spent.items()}
        finding = "Shares of their time. Waiting is for locks, rounds and evaluations."
        key = {name: look for look, name in enumerate(PHASES)}
        yield page.figure(caption, finding, shares(shown, PHASES), key=key, numbers=numbers)
    else:
        yield numbers
    if faults := run.of("fault"):
        shown_faults = [
            [f"{event['time']:.1f} s", event.get("reason", ""), event.get("message", "")] for event in faults
        ]
        title = f"Faults{'' if alone else f' of {run.name}'}"
        more = f" (the first {MOST_FAULTS})" if len(faults) > MOST_FAULTS else ""
        yield page.heading(title)
        yield page.table(f"{len(faults)} in all{more}", ["time", "kind", "message"], shown_faults[:MOST_FAULTS])


# ---- tables ---------------------------------------------------------------------------------------------------------


def _summary(runs: Sequence[Record]) -> str:
    names = [name for name in SUMMARY if any(name in run.summary for run in runs)]
    rows = [[SUMMARY[name], *(_shown(name, run.summary.get(name)) for run in runs)] for name in names]
    extra = [name for run in runs for name in run.summary if _is_metric(name) and name not in SUMMARY]
    rows += [[name, *(_shown(name, run.summary.get(name)) for run in runs)] for name in dict.fromkeys(extra)]
    return page.table("How it ended", ["", *(run.name for run in runs)], rows)


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


def _ends(line: Line) -> str:
    last = line.points[-1][1]
    if math.isnan(last):
        return f"{line.name} has diverged"
    return f"{line.name} ends at {number(last)}"


def _key(drawn: Sequence[Line]) -> dict[str, int] | None:
    return {line.name: line.look for line in drawn} if len(drawn) > 1 else None


def spans_decades(drawn: Sequence[Line]) -> bool:
    values = [y for line in drawn for _, y in line.points if math.isfinite(y)]
    return bool(values) and min(values) > 0 and max(values) > 100 * min(values)


def _is_metric(name: str) -> bool:
    return name.startswith(("test_", "validation_", "ema_"))


def _is_learned(name: str) -> bool:
    return name == "train_loss" or _is_metric(name)


def _named(y: str) -> str:
    return y.replace("_", " ").capitalize()


def _clock(runs: Sequence[Record]) -> str:
    kinds = {run.is_virtual for run in runs}
    return "virtual" if kinds == {True} else "wall" if kinds == {False} else "wall or virtual"
