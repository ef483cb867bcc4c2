"""Records the schedule of a run: the order of the pushes, each with its worker and ticket. `--clock trace:FILE` replays
it.

Each worker writes its own pushes; at the end the parent merges them by version. Under `--access locked` that order is
exact, and a replay repeats the run. Under other policies pushes overlap, and they are ordered by their beginnings.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from hogwild.files.reading import json_lines, reading
from hogwild.files.writing import open_append, write_atomically

SCHEDULE = "schedule.jsonl"
LIMIT_BYTES = 1 << 30


class Schedule:
    """One worker's pushes, a line each; a replacement continues the file of the worker that it replaces.

    `place`: number of a gathered gradient among those of its version.
    """

    def __init__(self, folder: Path, rank: int) -> None:
        self._rank = rank
        self._file = os.fdopen(open_append(folder / f"{rank}.schedule"), "a", buffering=1)

    def write(self, version: int, place: int, ticket: int, delay: int) -> None:
        line = {"version": version, "place": place, "worker": self._rank, "ticket": ticket, "delay": delay}
        self._file.write(json.dumps(line) + "\n")


def merge(folder: Path, target: Path) -> int:
    """Writes the pushes of all workers to `target` in the order of versions; returns their number."""
    lines: list[tuple[int, int, int, dict[str, int]]] = []
    for path in folder.glob("*.schedule"):
        with reading(path, "a schedule"):
            rows = list(json_lines(path, LIMIT_BYTES, drop_partial=True))  # a killed worker may leave half a line
            lines += [(int(row["version"]), int(row["place"]), int(row["worker"]), row) for row in rows]
    lines.sort(key=lambda line: line[:3])
    write_atomically(target, "".join(json.dumps(row) + "\n" for *_, row in lines))
    return len(lines)
