"""What each worker of a run did, and when: its timeline, its closing line, its faults."""

from __future__ import annotations

from collections.abc import Iterator

from hogwild.report import page, tracks
from hogwild.report.advice import PHASES, ended, times
from hogwild.report.chart import shares
from hogwild.report.record import Record
from hogwild.report.scale import number

MOST_FAULTS = 50


def section(run: Record, *, alone: bool, has_timeline: bool = True) -> Iterator[str]:
    """`alone`: the page shows no other run, so that captions need no name."""
    of = "" if alone else f" of {run.name}"
    if has_timeline:
        yield from _timeline(run, of)
    yield from _shares(run, of)
    yield from _faults(run, of)


def _timeline(run: Record, of: str) -> Iterator[str]:
    if not any((track.ends > track.begins).any() for track in run.tracks):
        return
    unit = "virtual seconds" if run.is_virtual else "seconds"
    finding = "What each worker did. Waiting is at barriers, paused is for an evaluation, a checkpoint or new work."
    if faults := [event for event in run.of("fault") if not event.get("ended")]:
        finding += f" A cross is a fault: {len(faults)} in all."
    if tracks.has_holes(run.tracks):
        finding += " Where nothing is drawn, records were lost."
    chart = tracks.draw(run.tracks, faults, unit)
    yield page.figure(f"Timeline{of}", finding, chart, key=tracks.shown(run.tracks), solid=True, faint=tracks.FAINT)


def _shares(run: Record, of: str) -> Iterator[str]:
    caption = f"Workers{of}"
    closing = ended(run)
    if not closing:
        yield page.words(caption, "No worker wrote its closing line.")
        return
    spent = times(run)
    names = [name for name in PHASES if any(event.get(f"{name}_s") for event in closing)]
    rows = [
        [
            f"worker {event.get('worker')}", event.get("pushes", ""), f"{event.get('samples', 0):,}",
            number(float(event.get("delay_mean") or 0.0)), event.get("delay_max", ""), event.get("refused", ""),
            *(number(float(event.get(f"{name}_s") or 0.0)) for name in names),
        ]
        for event in closing
    ]  # fmt: skip
    head = ["worker", "pushes", "samples", "mean delay", "largest", "refused", *(f"{name}, s" for name in names)]
    numbers = page.table(f"Closing lines of the workers{of}", head, rows)
    if spent:
        shown = {f"worker {worker}": row for worker, row in spent.items()}
        finding = "Shares of their time in the whole run."
        looks = {name: tracks.LOOKS[name] for name in names}
        chart = shares(shown, looks, tracks.FAINT)
        yield page.figure(caption, finding, chart, key=looks, solid=True, faint=tracks.FAINT, numbers=numbers)
    else:
        yield numbers


def _faults(run: Record, of: str) -> Iterator[str]:
    if not (faults := run.of("fault")):
        return
    shown = []
    for event in faults:
        kind = f"{event.get('reason', '')}{', over' if event.get('ended') else ''}"
        shown.append([f"{event['time']:.1f} s", kind, _worker(event.get("worker")), event.get("message", "")])
    more = f" (the first {MOST_FAULTS})" if len(faults) > MOST_FAULTS else ""
    yield page.heading(f"Faults{of}")
    count = sum(not event.get("ended") for event in faults)
    yield page.table(f"Faults{of}: {count} in all{more}", ["time", "kind", "worker", "message"], shown[:MOST_FAULTS])


def _worker(rank: object) -> object:
    return "" if rank is None else rank
