"""The timeline of a run for other programs: as trace events, which ui.perfetto.dev and chrome://tracing open, and as a
table.

Trace events are those of the "Trace Event Format" of Chromium; their times are microseconds. A worker is a thread, and
so is the parent, with its gates, evaluations and checkpoints.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from hogwild.report.record import Record
from hogwild.runs.timeline import ABSENT, LOST, PHASES, Track

COUNTERS = ("train_loss", "samples_per_s", "gap_rms", "lr")
TIMED = ("eval", "checkpoint", "edge")  # events that took `s` seconds and were written at their end
Event = Mapping[str, Any]


def trace(run: Record) -> Iterator[str]:
    """The JSON text in parts."""
    yield '{"displayTimeUnit": "ms", "traceEvents": [\n'
    separator = ""
    for event in _events(run):
        yield separator + json.dumps(event)
        separator = ",\n"
    yield "\n]}\n"


def table(run: Record) -> Iterator[str]:
    """Rows `worker,phase,begin_s,end_s,delay`, in the order of each worker. delay: of an update alone; 255 or more."""
    yield "worker,phase,begin_s,end_s,delay\n"
    for track in run.tracks:
        for phase, begin, end, delay in _intervals(track):
            last = delay if phase == "update" else ""
            yield f"{track.worker},{phase},{begin:.9f},{end:.9f},{last}\n"


def _events(run: Record) -> Iterator[Event]:
    parent = run.workers
    yield {"ph": "M", "pid": 0, "name": "process_name", "args": {"name": run.name}}
    for thread in (*range(run.workers), parent):
        name = "parent" if thread == parent else f"worker {thread}"
        yield {"ph": "M", "pid": 0, "tid": thread, "name": "thread_name", "args": {"name": name}}
        order = -1 if thread == parent else thread
        yield {"ph": "M", "pid": 0, "tid": thread, "name": "thread_sort_index", "args": {"sort_index": order}}
    for track in run.tracks:
        for phase, begin, end, delay in _intervals(track):
            facts = {"args": {"delay": delay}} if phase == "update" else {}
            yield _slice(track.worker, phase, begin, end) | facts
    for event in run.events:
        yield from _of(event, parent)


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
        yield {"ph": "i", "s": "t", "pid": 0, "tid": thread, "ts": _us(time), **facts}
    elif kind == "train":
        for name in COUNTERS:
            if isinstance(event.get(name), (int, float)):
                yield {"ph": "C", "pid": 0, "name": name, "ts": _us(time), "args": {name: event[name]}}


def _intervals(track: Track) -> Iterator[tuple[str, float, float, int]]:
    names = (*PHASES, "lost")
    columns = (track.phases.tolist(), track.begins.tolist(), track.ends.tolist(), track.delays.tolist())
    for phase, begin, end, delay in zip(*columns, strict=True):
        if phase not in ABSENT and phase <= LOST:
            yield names[phase], begin, end, delay


def _slice(thread: int, name: str, begin: float, end: float) -> dict[str, Any]:
    return {"ph": "X", "pid": 0, "tid": thread, "name": name, "ts": _us(begin), "dur": _us(end - begin)}


def _us(seconds: float) -> float:
    return round(seconds * 1e6, 3)
