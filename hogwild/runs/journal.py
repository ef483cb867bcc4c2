"""The journal of a run: what happens in it, as events, and the sinks that the events are written to."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hogwild.errors import HogwildError, UsageError
from hogwild.files.reading import SMALL_BYTES, parse_json, read_tail
from hogwild.files.writing import append, is_full, writing
from hogwild.runs.files import to_json

TIME_DIGITS = 6  # microseconds
TIME_LIMIT_S = 1e15
SCHEMA = 2  # of the events; readers skip kinds and keys that they do not know
TAIL_BYTES = 16 << 20  # in which the last whole line is looked for
JOURNAL_BYTES = 32 << 20  # the limit of one that is shown; as Python objects it can take thirty times as much
OWN_JOURNAL_BYTES = 4 << 30  # of a run that was made in this process, read line by line
REPEATED = ("train", "eval")  # kinds of events that a run which goes on from a checkpoint makes again


@dataclass(frozen=True)
class Event:
    """Something that happened in a run, `time` seconds of its clock after it began. Kinds: run, worker, train, eval,
    test, checkpoint, edge, gate, fault, between, box.
    """

    kind: str
    time: float
    values: Mapping[str, Any]


class Sink(Protocol):
    """A place that events are written to."""

    def write(self, event: Event) -> None:
        """Takes one event, at once: a run may be killed at any moment."""

    def close(self) -> None:
        """No event comes any more."""


class Journal:
    """Gives every event of a run to its sinks, in order. Only the parent process has one.

    The time of events is read from `clock`, in seconds, and counted from `before_s`: how long earlier parts of a
    resumed run took. The simulator sets its virtual time as the clock. `opening`: of the event of kind run that comes
    before the first other one, with the time of the beginning.
    """

    def __init__(self, *sinks: Sink, before_s: float = 0.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.sinks = list(sinks)
        self._before_s = before_s
        self.opening: Mapping[str, object] | None = None
        self.is_virtual = False
        self._set_clock(clock)

    def use_clock(self, clock: Callable[[], float]) -> None:
        """Reads the time from this virtual clock from now on; this part of the run begins now."""
        self.is_virtual = True
        self._set_clock(clock)

    def _set_clock(self, clock: Callable[[], float]) -> None:
        self._clock, self._start = clock, clock()

    def elapsed_s(self) -> float:
        """Seconds of this run so far, earlier parts of a resumed run included."""
        return self._before_s + self._clock() - self._start

    def took(self, began: float) -> dict[str, float]:
        """{"s": seconds since time.monotonic() was `began`}; {} under a virtual clock: what is written of a simulated
        run depends on nothing but its configuration.
        """
        return {} if self.is_virtual else {"s": time.monotonic() - began}

    def event(self, kind: str, **values: object) -> None:
        """Writes an event that happens now. HogwildError if a sink cannot take it."""
        events = [Event(kind, self.elapsed_s(), values)]
        if self.opening is not None:
            events.insert(0, Event("run", self._before_s, self.opening))
            self.opening = None
        for event in events:
            for sink in self.sinks:
                sink.write(event)

    def close(self) -> None:
        """Closes the sinks. May be called again."""
        while self.sinks:
            self.sinks.pop().close()


class JsonLines:
    """A sink that appends each event to a file, as a line {"kind": ..., "time": ..., values}.

    The time is rounded to microseconds. NaN and infinity become null: they are not JSON. `before_first` is called
    before the first line is written. While the disk is full, lines wait: they are written with the first one that there
    is room for, or when the sink is closed.
    """

    def __init__(self, path: Path, before_first: Callable[[], None] = lambda: None) -> None:
        self.path = path
        self._before_first: Callable[[], None] | None = before_first
        self._waiting = ""

    def write(self, event: Event) -> None:
        if self._before_first is not None:
            self._before_first()
            self._before_first = None
        line = to_json({"kind": event.kind, "time": round(event.time, TIME_DIGITS), **event.values})
        self._waiting += line + "\n"
        try:
            self._flush()
        except HogwildError as error:
            if not is_full(error.__cause__):
                self._waiting = ""
                raise

    def close(self) -> None:
        """Writes what still waits. HogwildError if there is no room for it: nothing else is open between two lines."""
        self._flush()

    def _flush(self) -> None:
        if self._waiting:
            append(self.path, self._waiting)
            self._waiting = ""


def mend(path: Path) -> float:
    """Cut off what a crash left half written at the end of a file of events, and return the time of the last whole
    line, in seconds; 0 if there is none.
    """
    if not path.exists():
        return 0.0
    tail, start = read_tail(path, TAIL_BYTES, error=UsageError)
    lines = tail.splitlines(keepends=True)
    whole = len(lines)
    while whole and (time_s := _time_of(lines[whole - 1])) is None:
        whole -= 1
    if start and not whole:
        raise UsageError(f"{path} has no whole line in its last {TAIL_BYTES:,} bytes: move it away to go on")
    with writing(path):
        os.truncate(path, start + sum(map(len, lines[:whole])))
    return time_s or 0.0 if whole else 0.0


def _time_of(line: bytes) -> float | None:
    """The time in a whole line; None for anything else."""
    if not line.endswith(b"\n") or len(line) > SMALL_BYTES:
        return None
    with contextlib.suppress(ValueError, KeyError, TypeError, ArithmeticError, RecursionError):
        time_s = float(parse_json(line)["time"])
        return time_s if 0 <= time_s < TIME_LIMIT_S else None
    return None


def without_repeats(events: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The lines of a journal without those that a run made again when it went on from a checkpoint: of the kinds
    REPEATED, all lines at or behind a place to which a later one goes back.
    """
    lines = list(events)
    places = [(str(line.get("kind")), _updates(line)) for line in lines]
    last: dict[str, float] = {}
    goes_back = []
    for kind, at in places:
        goes_back.append(last.get(kind, at) > at)
        last[kind] = at
    again: dict[str, float] = {}  # kind -> the least place to which a later line goes back
    kept = []
    for line, (kind, at), is_back in reversed(list(zip(lines, places, goes_back, strict=True))):
        if kind not in REPEATED or not at >= again.get(kind, math.inf):
            kept.append(line)
        if is_back:
            again[kind] = min(at, again.get(kind, math.inf))
    return kept[::-1]


def _updates(line: Mapping[str, Any]) -> float:
    """NaN where there is no such number."""
    found = line.get("updates")
    return found if isinstance(found, (int, float)) else math.nan
