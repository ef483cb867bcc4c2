"""Records the schedule of a run: the order of the pushes, each with its worker and ticket. `--clock trace:FILE` replays
it.

Each worker writes its own pushes; at the end the parent merges them by version. Under `--access locked` that order is
exact, and a replay repeats the run. Under other policies pushes overlap, and they are ordered by their beginnings.
"""

from __future__ import annotations

import json
from pathlib import Path

SCHEDULE = "schedule.jsonl"


class Schedule:
    """One worker's pushes, a line each; a replacement continues the file of the worker that it replaces.

    `place`: number of a gathered gradient among those of its version.
    """

    def __init__(self, folder: Path, rank: int) -> None:
        self._rank = rank
        self._file = (folder / f"{rank}.schedule").open("a", buffering=1)

    def write(self, version: int, place: int, ticket: int, delay: int) -> None:
        line = {"version": version, "place": place, "worker": self._rank, "ticket": ticket, "delay": delay}
        self._file.write(json.dumps(line) + "\n")


def merge(folder: Path, target: Path) -> int:
    """Writes the pushes of all workers to `target` in the order of versions; returns their number."""
    lines = []
    for path in folder.glob("*.schedule"):
        rows = path.read_text().splitlines(keepends=True)
        lines += [json.loads(row) for row in rows if row.endswith("\n")]  # a killed worker may leave half a line
    lines.sort(key=lambda line: (line["version"], line["place"], line["worker"]))
    target.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return len(lines)
