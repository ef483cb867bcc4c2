"""The answer in words: the two methods to try first, and the numbers that say so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hogwild.recommend.rows import Measured
from hogwild.recommend.situation import KNOWN, Asked, Found, nearest, ranked


def answer(rows: Iterable[Measured], asked: Asked) -> str:
    """Lines for the console."""
    found = nearest(rows, asked)
    order = ranked(found.rows, asked)
    row = found.rows[0]
    where = f"measured in: {row.setting} ({row.workers} workers, clock {row.clock}), docs/results/{row.source}"
    if not order:
        least = min(found.rows, key=lambda row: row.bytes or 0.0)
        return (
            f"{where}\nno method there moves at most {asked.bytes:g} bytes per parameter and gradient; the least is "
            f"{least.method} with {least.bytes:.1f}"
        )
    lines = [where] if found.is_near else [_far(found), where]
    lines += [f"{number}. {line}" for number, line in enumerate(map(why, order[:2]), 1)]
    known = [why(row) for row in order[2:] if row.algorithm in KNOWN]
    left = len({row.algorithm for row in found.rows}) - len(order)
    lines += [f"   {line}" for line in known]
    if left:
        lines.append(f"{left} methods are left out: they move more than {asked.bytes:g} bytes a parameter and gradient")
    return "\n".join(lines)


def why(row: Measured) -> str:
    """What came out for that method."""
    seeds = "one seed" if row.seeds == 1 else f"{row.seeds} seeds"
    score = "it diverged" if row.score is None else f"test accuracy {row.score:.4f}"
    if not row.target:
        return f"{row.method} (lr {row.lr:g}): {score}, {seeds}"
    time = (
        f"never reached a {row.target}" if row.time is None else f"a {row.target} after {row.time:.1f} times a gradient"
    )
    moved = "" if row.bytes is None else f", {row.bytes:.1f} bytes moved per parameter and gradient"
    return f"{row.method} (lr {row.lr:g}): {time}; at the end {score}{moved}; {seeds}"


def _far(found: Found) -> str:
    return f"no measured setting is near; of the nearest one, {_joined(found.differs)}: what follows is a guess"


def _joined(parts: Sequence[str]) -> str:
    return " and ".join(parts)
