"""Reads a recorded schedule (hogwild.drivers.instruments.recording): the turns of the workers of a run, in order.

    {"kind": "schedule", "format": 2, "algorithm": "easgd", "access": "locked", "workers": 2, "lost": false, ...}
    {"turn": 0, "kind": "join", "worker": 1}
    {"turn": 7, "kind": "gradient", "worker": 0, "ticket": 2, "version": 2, "place": 0, "delay": 1}

The first line is about the run: its algorithm and access policy, the number of its workers, whether a worker died
(`lost`), and whether it went on from a checkpoint (`resumed`). The kinds of turns:

    join, leave   the worker takes part from now on, or no longer
    begin         its algorithm begins, or begins again in the process that replaces a killed one
    gradient      it hands over the gradient of its ticket; cancelled: one that came too late, it keeps its ticket;
                  given_up: none, it had taken too long; empty: none, nothing of the batch could be read
    update        it goes on after the wait for an update; rest: all waited, and it made that update if it was missing

Files of version 0.1.0 have neither the first line nor numbers: only the gradients, in the order of the versions at
which they were taken. That is an order of all that the workers did to the run only if each gradient has a version of
its own, and nothing beside its push goes to the run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from hogwild.errors import UsageError
from hogwild.files.reading import json_lines, reading
from hogwild.rules import Access
from hogwild.text import quoted

JOIN, LEAVE, BEGIN = "join", "leave", "begin"
GRADIENT, CANCELLED, GIVEN_UP, EMPTY = "gradient", "cancelled", "given_up", "empty"
UPDATE, REST = "update", "rest"
TICKETED = (GRADIENT, CANCELLED, GIVEN_UP, EMPTY)
KINDS = (JOIN, LEAVE, BEGIN, *TICKETED, UPDATE, REST)
HEAD, FORMAT = "schedule", 2
TURNS_LIMIT = 5_000_000
LIMIT_BYTES = 1 << 30


class Turn(NamedTuple):
    """One turn. `ticket`: of its gradient; 0 for other kinds."""

    kind: str
    rank: int
    ticket: int = 0


@dataclass(frozen=True)
class Trace:
    """A recorded schedule. `algorithm`, as a message may show it, and `access` are None in files of version 0.1.0.

    `ties`: two gradients were taken at the same version, so a file without numbers does not tell which one came first.
    """

    turns: Sequence[Turn]
    algorithm: str | None = None
    access: Access | None = None
    ties: bool = False

    @classmethod
    def of(cls, pushes: Iterable[tuple[int, int]], workers: int) -> Trace:
        """The trace of pushes (rank, ticket) in that order, by workers that all take part from the start."""
        ready = [Turn(kind, rank) for kind in (JOIN, BEGIN) for rank in range(workers)]
        return cls([*ready, *(Turn(GRADIENT, rank, ticket) for rank, ticket in pushes)])


def read(path: Path, workers: int) -> Trace:
    """The schedule in `path`, for a run with so many workers. UsageError, in one line, if it cannot be replayed."""
    what = f"--clock trace:{path}"
    rows = json_lines(path, LIMIT_BYTES, error=UsageError)
    with reading(what, "a recorded schedule", error=UsageError, remedy="make one with --record"):
        first = next(rows, None)
        if first is None or first.get("kind") != HEAD:
            return _unnumbered(what, chain([first] if first is not None else [], rows), workers)
        return _numbered(what, first, rows, workers)


def _numbered(what: str, head: dict[str, Any], rows: Iterable[dict[str, Any]], workers: int) -> Trace:
    if head["format"] != FORMAT:
        raise ValueError(f"format {quoted(head['format'])} is of another version, this one reads {FORMAT}")
    if head["workers"] != workers:
        recorded = quoted(head["workers"])
        raise UsageError(f"{what}: recorded with {recorded} workers, but --workers is {workers}: use {recorded}")
    if head["resumed"]:
        raise UsageError(
            f"{what}: the recorded run went on from a checkpoint, and a replay begins at the first update: record a "
            "run from its start"
        )
    if head["lost"]:
        raise UsageError(
            f"{what}: a worker died in the recorded run, and no schedule tells how far it had come: record another run"
        )
    turns: list[Turn] = []
    for row in rows:
        if (number := _whole(row["turn"])) != len(turns):
            raise ValueError(f"turn {len(turns)} is missing, the next one is {number}")
        if row["kind"] not in KINDS:
            raise ValueError(f"{quoted(row['kind'])} is no kind of turn")
        ticket = _whole(row["ticket"]) if row["kind"] in TICKETED else 0
        turns.append(Turn(row["kind"], _rank(what, row, workers), ticket))
        _limit(turns)
    return Trace(turns, quoted(head["algorithm"]), Access(head["access"]))


def _unnumbered(what: str, rows: Iterable[dict[str, Any]], workers: int) -> Trace:
    pushes: list[tuple[int, int]] = []
    places: Counter[tuple[object, object]] = Counter()
    for row in rows:
        pushes.append((_rank(what, row, workers), _whole(row["ticket"])))
        if "version" in row:
            places[_whole(row["version"]), _whole(row.get("place", 0))] += 1
        _limit(pushes)
    trace = Trace.of(pushes, workers)
    return Trace(trace.turns, ties=any(count > 1 for count in places.values()))


def _rank(what: str, row: dict[str, Any], workers: int) -> int:
    if (rank := _whole(row["worker"])) >= workers:
        raise UsageError(
            f"{what}: recorded with worker {rank}, but --workers is {workers}: use --workers {rank + 1} or more"
        )
    return rank


def _limit(found: Sequence[object]) -> None:
    if len(found) > TURNS_LIMIT:
        raise ValueError(f"it has more than {TURNS_LIMIT:,} turns")


def _whole(value: object) -> int:
    if type(value) is not int or not 0 <= value < 1 << 53:
        raise ValueError(f"{quoted(value)} is no whole number from 0")
    return value
