"""The parts of a run of several boxes: RUN/box0, RUN/box1, ..., each a run directory on the machine of its box.

A box that was started again has written a part more: RUN/box1~2.
"""

from __future__ import annotations

import re
from pathlib import Path

from hogwild.runs.directory import is_run

_NAME = re.compile(r"box(\d+)(?:~(\d+))?")


def part_name(box: int, number: int = 1) -> str:
    """The name of the part number `number` of a box."""
    return f"box{box}" + (f"~{number}" if number > 1 else "")


def is_part(run: Path) -> bool:
    """Whether that is the name of a part."""
    return _NAME.fullmatch(run.name) is not None


def parts_of(run: Path) -> dict[int, list[Path]]:
    """The parts of `run` on this machine, by box; of each box the oldest first."""
    found: dict[int, list[tuple[int, Path]]] = {}
    for path in run.glob("box*"):
        if (match := _NAME.fullmatch(path.name)) and is_run(path):
            found.setdefault(int(match[1]), []).append((int(match[2] or 1), path))
    return {box: [path for _, path in sorted(found[box])] for box in sorted(found)}


def newest_with_checkpoint(parts: list[Path]) -> Path | None:
    """The part that a box goes on from: the newest one with a checkpoint, or else the newest one; None of none."""
    saved = [path for path in parts if any((path / "ckpt").glob("step-*"))]
    return next(reversed(saved or parts), None)
