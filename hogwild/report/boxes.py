"""A run of several boxes: what each of them did, their exchanges, and their workers on one clock.

Each box has a run directory and a clock of its own, whose beginning the event of kind run tells as a time of the day:
machines whose clocks differ by a second are drawn a second apart.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from hogwild.report import page, tracks
from hogwild.report.chart import Line, lines
from hogwild.report.curves import ends
from hogwild.report.record import Point, Record, Values
from hogwild.report.scale import number
from hogwild.runs.timeline import Track

FOLDER = re.compile(r"box\d+(~\d+)?")
COUNTS = {
    "exchanges": "exchanges", "exchanges_refused": "refused", "exchanges_late": "late",
    "exchanges_nonfinite": "not finite", "links_lost": "links lost", "overlap": "updates meanwhile",
}  # fmt: skip
"""Counters in events of kind between -> what the table calls them."""


def are_boxes(runs: Sequence[Record]) -> bool:
    """Whether these are the boxes of one run."""
    folders = {run.path.resolve().parent for run in runs}
    return len(folders) == 1 and all(FOLDER.fullmatch(run.path.name) and run.values.get("between") for run in runs)


def title(runs: Sequence[Record]) -> str:
    boxes = {run.path.name.partition("~")[0] for run in runs}
    return f"{runs[0].path.resolve().parent.name}: {len(boxes)} boxes"


def section(runs: Sequence[Record]) -> Iterator[str]:
    """What the boxes did, and when."""
    yield page.heading("What the boxes did")
    yield _table(runs)
    yield from _curve(runs, "Exchanges between boxes", "So far.", lambda _, now: float(now.get("exchanges") or 0))
    yield from _curve(
        runs,
        "Lag at exchanges",
        "Distance of the two boxes' versions at an exchange, in updates: mean of the exchanges since the last value.",
        _lag,
    )
    caption, reached = "Boxes that could be reached", {now["boxes"] for run in runs for now in run.of("between")}
    if len(reached) == 1:
        yield page.words(caption, f"By every box at all times: {reached.pop()}, itself included.")
    else:
        yield from _curve(runs, caption, "By each box, itself included.", lambda _, now: float(now["boxes"]))
    yield from timeline(runs)


def timeline(runs: Sequence[Record]) -> Iterator[str]:
    """The workers of all boxes in one drawing."""
    rows: list[Track] = []
    names: list[str] = []
    faults: list[Values] = []
    for run, offset in zip(runs, offsets(runs), strict=True):
        places = {track.worker: len(rows) + place for place, track in enumerate(run.tracks)}
        for track in run.tracks:
            shifted = replace(track, begins=track.begins + offset, ends=track.ends + offset)
            rows.append(replace(shifted, worker=places[track.worker]))
            names.append(f"{run.path.name}, {track.worker}")
        for event in run.of("fault"):
            if not event.get("ended"):
                worker = places.get(event["worker"]) if isinstance(event.get("worker"), int) else None
                faults.append({**event, "time": float(event.get("time", 0.0)) + offset, "worker": worker})
    if any((track.ends > track.begins).any() for track in rows):
        finding = f"What each worker of each box did. A cross or a line is a fault: {len(faults)} in all."
        chart = tracks.draw(rows, faults, "seconds", names)
        yield page.figure("Timeline", finding, chart, key=tracks.shown(rows), solid=True, faint=tracks.FAINT)


def offsets(runs: Sequence[Record]) -> list[float]:
    """For each run, when its clock began, in seconds after the first one."""
    begins = [next((float(event["unix"]) for event in run.of("run") if "unix" in event), None) for run in runs]
    known = [begin for begin in begins if begin is not None]
    return [0.0 if begin is None else begin - min(known) for begin in begins]


# ---- parts ----------------------------------------------------------------------------------------------------------


def _table(runs: Sequence[Record]) -> str:
    """A row for each box, of its own counters: the summary of box 0 has the sums."""
    head = ["box", "ended", "updates", *COUNTS.values(), "lag", "largest", "exchange, s", "sent, MB", "received, MB"]
    rows = []
    for run in runs:
        last = (run.of("between") or [{}])[-1]
        lag, took = _parts(last, "lag"), _parts(last, "exchange_s")
        sizes = [number(float(last[name]) / 1e6) if name in last else "" for name in ("bytes_sent", "bytes_received")]
        rows.append([
            run.name, run.summary.get("exit_reason", ""), _updates(run), *(last.get(name, "") for name in COUNTS),
            *(number(float(part[name])) if name in part else "" for part, name in
              ((lag, "mean"), (lag, "max"), (took, "mean"))), *sizes,
        ])  # fmt: skip
    whole = next((run.summary for run in runs if "boxes_share" in run.summary), {})
    if whole:
        rows.append(["all", "", whole.get("updates", ""), *(whole.get(name, "") for name in COUNTS), *[""] * 5])
    return page.table("Boxes, by the last line of each", head, rows)


def _updates(run: Record) -> object:
    return next((event["updates"] for event in reversed(run.of("train")) if "updates" in event), "")


def _parts(event: Values, name: str) -> Mapping[str, Any]:
    found = event.get(name)
    return found if isinstance(found, Mapping) else {}


def _lag(before: Values, now: Values) -> float | None:
    """The mean of the exchanges between two events; None if there were none."""
    earlier, later = (float(event.get("exchanges") or 0) for event in (before, now))
    if later <= earlier:
        return None
    sums = [float(_parts(event, "lag").get("mean") or 0) * count for event, count in ((before, earlier), (now, later))]
    return (sums[1] - sums[0]) / (later - earlier)


def _curve(
    runs: Sequence[Record], caption: str, finding: str, value: Callable[[Values, Values], float | None]
) -> Iterator[str]:
    """One line a box of `value(event before, event)` over the seconds since the first box began."""
    drawn = []
    for look, (run, offset) in enumerate(zip(runs, offsets(runs), strict=True)):
        points: list[Point] = []
        before: Values = {}
        for now in run.of("between"):
            if (y := value(before, now)) is not None:
                points.append((float(now.get("time", 0.0)) + offset, y))
            before = now
        if len(points) > 1:
            drawn.append(Line(run.name, points, look))
    if drawn:
        said = f"{finding} {'; '.join(map(ends, drawn))}."
        key = {line.name: line.look for line in drawn}
        yield page.figure(caption, said, lines(drawn, "seconds"), key=key)
