"""results.jsonl: everything that the parts have found, one line at a time, so that a killed script loses no row.

A line is one of
    {"dry": bool}                                first line: whether the figures are measurements
    {"part", "row": {"group", "name", ...}}      a row; of rows with one group, name and n the latest counts
    {"part", "finished": [group, n]}             all rows of that size are above
    {"part", "result": {"status", "seconds"}}    the part has ended
    {"part", "again": true}                      earlier lines of the part no longer count
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NAME = "results.jsonl"


@dataclass
class Found:
    """What is known of one part."""

    rows: dict[tuple[Any, ...], dict[str, Any]] = field(default_factory=dict)
    finished: set[tuple[str, int]] = field(default_factory=set)
    result: dict[str, Any] = field(default_factory=dict)

    def add(self, line: Mapping[str, Any]) -> None:
        if row := line.get("row"):
            self.rows[row["group"], row["name"], row.get("n")] = row
        elif sizes := line.get("finished"):
            self.finished.add((sizes[0], sizes[1]))
        elif result := line.get("result"):
            self.result = result


class Journal:
    """The file. Several processes may append to it, one line at a time."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def begin(self, is_dry: bool) -> None:
        """Prepare the file for new lines. Raises: ValueError if its figures are of the other kind."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        content = self.file.read_bytes() if self.file.exists() else b""
        os.truncate(self.file, content.rfind(b"\n") + 1) if content else self.file.touch()
        first = next(self._lines(), None)
        if first is None:
            self.append(dry=is_dry)
        elif first.get("dry") is not is_dry:
            kind = "a dry run" if first.get("dry") else "measurements"
            raise ValueError(f"{self.file} holds results of {kind}: give another folder with --out")

    def append(self, **line: Any) -> None:
        with self.file.open("ab", buffering=0) as file:
            file.write(json.dumps(line).encode() + b"\n")

    def found(self) -> dict[str, Found]:
        """All parts that have a line, in the order of their first lines."""
        parts: dict[str, Found] = {}
        for line in self._lines():
            if name := line.get("part"):
                if line.get("again"):
                    parts.pop(name, None)
                parts.setdefault(name, Found()).add(line)
        return parts

    def of(self, part: str) -> Found:
        return self.found().get(part, Found())

    def results(self) -> dict[str, dict[str, Any]]:
        """Status, seconds and rows of every part. A part that was killed with the script has the status `cut off`."""
        return {
            name: {"status": "cut off", "seconds": 0.0, **part.result, "rows": list(part.rows.values())}
            for name, part in self.found().items()
        }

    def _lines(self) -> Iterator[dict[str, Any]]:
        """All whole lines."""
        if not self.file.exists():
            return
        for text in self.file.read_text().splitlines(keepends=True):
            if text.endswith("\n"):
                yield json.loads(text)
