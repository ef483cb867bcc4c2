"""The timeline of a run for other programs: as trace events, which ui.perfetto.dev and chrome://tracing open, and as a
table.

Trace events are those of the "Trace Event Format" of Chromium; their times are microseconds. A worker is a thread, and
so is the parent, with its gates, evaluations and checkpoints. An arrow leads from where a worker had read the
parameters to its push of their gradient.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hogwild.report.boxes import are_boxes, offsets
from hogwild.report.record import Record
from hogwild.runs.timeline import ABSENT, LOST, PHASES, Track

COUNTERS = ("train_loss", "samples_per_s", "gap_rms", "lr")
TIMED = ("eval", "checkpoint", "edge")  # events that took `s` seconds and were written at their end
NAMES = (*PHASES, "lost")
UNSEEN = {"lost", *(PHASES[phase] for phase in ABSENT)}
Event = Mapping[str, Any]


def trace(runs: Sequence[Record]) -> Iterator[str]:
    """The JSON text in parts. Each run is a process; the boxes of one run have one clock."""
    yield '{"displayTimeUnit": "ms", "traceEvents": [\n'
    separator = ""
    for event in _events(runs):
        yield separator + json.dumps(event)
        separator = ",\n"
    yield "\n]}\n"


def table(runs: Sequence[Record]) -> Iterator[str]:
    """Rows `worker,phase,begin_s,end_s,delay`, in the order of each worker; with several runs `run` comes first.
    delay: of an update alone; 255 or more.
    """
    several = len(runs) > 1
    yield f"{'run,' if several else ''}worker,phase,begin_s,end_s,delay\n"
    for run in runs:
        for track in run.tracks:
            for phase, begin, end, delay in _seen(track):
                last = delay if phase == "update" else ""
                yield f"{f'{run.name},' if several else ''}{track.worker},{phase},{begin:.9f},{end:.9f},{last}\n"


def _events(runs: Sequence[Record]) -> Iterator[Event]:
    shifts = offsets(runs) if are_boxes(runs) else [0.0] * len(runs)
    arrow = itertools.count(1)
    for process, (run, shift) in enumerate(zip(runs, shifts, strict=True)):
        for event in _of_run(run, arrow):
            moved = {"ts": round(event["ts"] + 1e6 * shift, 3)} if "ts" in event else {}
            yield {**event, **moved, "pid": process}


def _of_run(run: Record, arrow: Iterator[int]) -> Iterator[Event]:
    parent = run.workers
    yield {"ph": "M", "name": "process_name", "args": {"name": run.name}}
    for thread in (*range(run.workers), parent):
        name = "parent" if thread == parent else f"worker {thread}"
        yield {"ph": "M", "tid": thread, "name": "thread_name", "args": {"name": name}}
        order = -1 if thread == parent else thread
        yield {"ph": "M", "tid": thread, "name": "thread_sort_index", "args": {"sort_index": order}}
    for track in run.tracks:
        for phase, begin, end, delay in _seen(track):
            delayed = {"args": {"delay": delay}} if phase == "update" else {}
            yield _slice(track.worker, phase, begin, end) | delayed
        for read, pushed, delay in _pushes(track):
            facts: Event = {"name": "pull to push", "cat": "push", "id": next(arrow), "tid": track.worker}
            yield {**facts, "ph": "s", "ts": _us(read)}
            yield {**facts, "ph": "f", "bp": "e", "ts": _us(pushed), "args": {"delay": delay}}
    for event in run.events:
        yield from _of(event, parent)


def _pushes(track: Track) -> Iterator[tuple[float, float, int]]:
    """When the worker had read the parameters, when it pushed their gradient, and the delay of that push. It reads at
    the end of an update or behind a barrier.
    """
    read: float | None = None
    has_gradient = False
    for phase, begin, _, delay in _intervals(track):
        if phase == "update" and read is not None and has_gradient:
            yield read, begin, delay
        if phase in UNSEEN or phase == "update" or (phase == "waiting" and not has_gradient):
            read, has_gradient = None, False
            continue
        read = begin if read is None else read
        has_gradient |= phase == "gradient"


def _of(event: Event, parent: int) -> Iterator[Event]:
    """What an event of the journal is in a trace."""
    kind, time = event.get("kind"), float(event.get("time", 0.0))
    if kind == "gate":
        yield _slice(parent, "gate", float(event["closed"]), float(event["opened"])) | {"args": {"why": event["why"]}}
    elif kind in TIMED and "s" in event:
        yield _slice(parent, str(kind), time - float(event["s"]), time)
    elif kind == "fault":
        thread = event["worker"] if isinstance(event.get("worker"), int) else parent
        facts = {"name": event.get("reason", "fault"), "args": {"message": event.get("message", "")}}
        yield {"ph": "i", "s": "t", "tid": thread, "ts": _us(time), **facts}
    elif kind == "train":
        for name in COUNTERS:
            if isinstance(event.get(name), (int, float)):
                yield {"ph": "C", "name": name, "ts": _us(time), "args": {name: event[name]}}


def _intervals(track: Track) -> Iterator[tuple[str, float, float, int]]:
    columns = (track.phases.tolist(), track.begins.tolist(), track.ends.tolist(), track.delays.tolist())
    for phase, begin, end, delay in zip(*columns, strict=True):
        if phase <= LOST:
            yield NAMES[phase], begin, end, delay


def _seen(track: Track) -> Iterator[tuple[str, float, float, int]]:
    """Those in which the worker took part in the run, and those whose records were lost."""
    absent = {PHASES[phase] for phase in ABSENT}
    return (interval for interval in _intervals(track) if interval[0] not in absent)


def _slice(thread: int, name: str, begin: float, end: float) -> dict[str, Any]:
    return {"ph": "X", "tid": thread, "name": name, "ts": _us(begin), "dur": _us(end) - _us(begin)}


def _us(seconds: float) -> float:
    return round(seconds * 1e6, 3)
