"""Records the schedule of a run: the turns of its workers, in their order. `--clock trace:FILE` replays it.

A turn is what a worker does to the run between two waits: it gives a gradient to the algorithm, and makes every push,
exchange, average and message that follows from it. All turns of all workers are numbered by one counter in the control
block. Under `--access locked` a run that is recorded makes one turn at a time, and draws the number of each under the
lock that orders them: each turn finds what all turns of lower numbers have left behind, and a replay repeats the run
bit for bit. Under other policies turns overlap, and their numbers are in the order of their beginnings.

Each worker writes its own turns; at the end the parent merges them (hogwild.drivers.instruments.trace has the format).
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from hogwild.config import Config
from hogwild.drivers.instruments.trace import CANCELLED, EMPTY, FORMAT, GIVEN_UP, GRADIENT, HEAD, LIMIT_BYTES
from hogwild.files.reading import json_lines, reading
from hogwild.files.writing import open_append, write_atomically
from hogwild.shared.control import Turns

SCHEDULE = "schedule.jsonl"
TakeTurn = Callable[[str], AbstractContextManager[None]]
"""A context for one turn, made from its kind."""

_UNRECORDED: AbstractContextManager[None] = contextlib.nullcontext()


def unrecorded(_kind: str) -> AbstractContextManager[None]:
    """The turns of a run that is not recorded: they have no number, take no lock, and cost a call."""
    return _UNRECORDED


class Recorder:
    """Writes one worker's turns, a line each; a replacement continues the file of the worker that it replaces.

    `alone`: one turn of all workers at a time. `settle`: waits until what a turn began on a device is done.
    """

    def __init__(self, folder: Path, rank: int, turns: Turns, *, alone: bool, settle: Callable[[], None]) -> None:
        self._rank, self._turns, self._alone, self._settle = rank, turns, alone, settle
        self._gradient = 0  # number of the last turn with a gradient
        self._file = os.fdopen(open_append(folder / f"{rank}.schedule"), "a", buffering=1)

    @contextlib.contextmanager
    def turn(self, kind: str) -> Iterator[None]:
        """One turn. It is written once it is over: of a worker that is killed inside, the number is missing. The line
        of a turn with a gradient is left to `gradient`.
        """
        number = self._turns.begin_turn(self._rank, self._alone)
        try:
            yield
            if self._alone:
                self._settle()
        finally:
            self._turns.end_turn(self._alone)
        if kind == GRADIENT:
            self._gradient = number
        else:
            self._write(number, kind)

    def gradient(self, ticket: int, version: int, place: int, delay: int, *, given_up: bool, cancelled: bool) -> None:
        """Writes the last turn with a gradient, once its outcome is known. `place`: number of a gathered gradient among
        those of its version.
        """
        kind = GIVEN_UP if given_up else CANCELLED if cancelled else GRADIENT
        self._write(self._gradient, kind, ticket=ticket, version=version, place=place, delay=delay)

    def empty(self, ticket: int) -> None:
        """Writes a turn in which nothing of the ticket's batch could be read."""
        number = self._turns.begin_turn(self._rank, self._alone)
        self._turns.end_turn(self._alone)
        self._write(number, EMPTY, ticket=ticket)

    def close(self) -> None:
        self._file.close()

    def _write(self, number: int, kind: str, **facts: int) -> None:
        line = {"turn": number, "kind": kind, "worker": self._rank, **facts}
        self._file.write(json.dumps(line) + "\n")


def head(config: Config, *, lost: bool, resumed: bool) -> dict[str, object]:
    """The first line of a schedule. `lost`: a worker died. `resumed`: the run went on from a checkpoint."""
    return {
        "kind": HEAD,
        "format": FORMAT,
        "algorithm": config.algorithm,
        "access": config.access,
        "workers": config.workers,
        "lost": lost,
        "resumed": resumed,
    }


def merge(folder: Path, target: Path, head: Mapping[str, object]) -> int:
    """Writes the turns of all workers to `target` in their order, after the line `head`; returns their number."""
    lines: list[tuple[int, int, dict[str, int]]] = []
    for path in folder.glob("*.schedule"):
        with reading(path, "a schedule"):
            rows = list(json_lines(path, LIMIT_BYTES, drop_partial=True))  # a killed worker may leave half a line
            lines += [(int(row["turn"]), int(row["worker"]), row) for row in rows]
    lines.sort(key=lambda line: line[:2])
    write_atomically(target, "".join(json.dumps(row) + "\n" for row in (head, *(row for *_, row in lines))))
    return len(lines)
