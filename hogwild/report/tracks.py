"""The timeline of the workers as a drawing: a row for each, in the colours of its phases, with its faults."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from hogwild.report.chart import STROKE, Drawing, colour, escape, filled, text, x_axis
from hogwild.report.record import Values
from hogwild.report.scale import Scale, number
from hogwild.runs.timeline import LOST, PHASES, Array, Track

LOOKS = {"gradient": 0, "sleep": 0, "update": 1, "waiting": 3, "paused": 2, "lock": 4, "data": 5}
"""Phase -> the number of its colour. sleep is that of gradient, paler: a straggler is made to wait."""
FAINT = "sleep"
MOST_BARS, MOST_BARS_IN_ALL = 2000, 12_000  # with more, the shares of the phases in columns are drawn
COLUMNS, COLUMNS_IN_ALL = 300, 3000
ROW, LOW_ROW, MANY = 24, 10, 24  # pixels of a row; of one of more than MANY
UNITS = 100  # of the inner drawing, from one row to the next
MOST_MARKS = 60


def draw(tracks: Sequence[Track], faults: Iterable[Values], unit: str, names: Sequence[str] = ()) -> Drawing:
    """The phases of all workers over the time of the run. `unit`: of its clock. `names`: of the workers, in place of
    their numbers. At least one track has an interval.
    """
    names = names or [f"worker {track.worker}" for track in tracks]
    across = Scale(min(track.begins[0] for track in tracks if len(track.begins)),
                   max(track.ends[-1] for track in tracks if len(track.ends)))  # fmt: skip
    row = ROW if len(tracks) <= MANY else LOW_ROW
    bars = [int(np.sum(track.ends > track.begins)) for track in tracks]
    if max(bars) <= MOST_BARS and sum(bars) <= MOST_BARS_IN_ALL:
        inner = [_bars(track, names[place], place, across, row) for place, track in enumerate(tracks)]
        columns = 1000
    else:
        columns = min(COLUMNS, COLUMNS_IN_ALL // len(tracks))
        inner = [_columns(track, names[place], place, across, columns) for place, track in enumerate(tracks)]
    height = row * len(tracks)
    box = f'viewBox="0 0 {columns} {UNITS * len(tracks)}" preserveAspectRatio="none"'
    parts = [f'<svg width="100%" height="{height}" {box}>{"".join(inner)}</svg>']
    for place, name in enumerate(names):
        if len(tracks) <= MANY or place % 8 == 0:
            parts.append(text(-8, place * row + row / 2 + 4, "end", name))
    rows = {track.worker: place for place, track in enumerate(tracks)}
    parts += _marks(list(faults)[:MOST_MARKS], rows, across, row)
    return Drawing(height + 40, "".join(parts) + x_axis(across, height, unit))


def shown(tracks: Sequence[Track]) -> dict[str, int]:
    """The key: the phases that occur, with their looks."""
    found = {name for track in tracks for name in track.seconds()}
    return {name: look for name, look in LOOKS.items() if name in found}


def _bars(track: Track, of: str, place: int, across: Scale, row: int) -> str:
    """One path a phase, of a line for each interval."""
    paths = []
    middle = UNITS * place + UNITS // 2
    for name, look in LOOKS.items():
        chosen = (track.phases == PHASES.index(name)) & (track.ends > track.begins)
        begins = 1000 * (track.begins[chosen] - across.low) / (across.high - across.low)
        widths = 1000 * (track.ends[chosen] - track.begins[chosen]) / (across.high - across.low)
        steps = "".join(f"M{at:.5g} {middle}h{wide:.4g}" for at, wide in zip(begins, widths, strict=True))
        if steps:
            paths.append(
                f'<path d="{steps}" {colour(look)} {STROKE} stroke-width="{row - 5}"{_faint(name, "stroke")}>'
                f"{_title(track, of, name)}</path>"
            )
    return "".join(paths)


def _columns(track: Track, of: str, place: int, across: Scale, columns: int) -> str:
    """The shares of the phases in columns of time, stacked. Records that were lost leave a hole."""
    edges = np.linspace(across.low, across.high, columns + 1)
    width = edges[1] - edges[0]
    level = np.zeros(columns)
    paths = []
    for name, look in LOOKS.items():
        top = level + np.diff(_seconds_until(track, PHASES.index(name), edges)) / width
        low, high = _rounded(level, place), _rounded(top, place)
        level = top
        if (low != high).any():
            steps = f"M0 {low[0]}{_steps(high)}V{low[-1]}{_steps(low[::-1], back=True)}z"
            paths.append(f'<path d="{steps}" {filled(look)}{_faint(name, "fill")}>{_title(track, of, name)}</path>')
    return "".join(paths)


def _seconds_until(track: Track, phase: int, edges: Array) -> Array:
    """[columns + 1] the seconds in that phase before each edge."""
    if not len(track.begins):
        return np.zeros(len(edges))
    inside = np.where(track.phases == phase, track.ends - track.begins, 0.0)
    until: Array = np.interp(edges, np.append(track.begins, track.ends[-1]), np.append(0.0, np.cumsum(inside)))
    return until


def _rounded(level: Array, place: int) -> Array:
    """From the bottom of the row at `place` up, with a gap to the next row."""
    return np.rint(UNITS * (place + 0.9 - 0.8 * np.clip(level, 0, 1))).astype(int)


def _steps(levels: Array, *, back: bool = False) -> str:
    """V and h commands along the columns; equal neighbours are one step."""
    ends = np.flatnonzero(np.append(levels[1:] != levels[:-1], True))
    begins = np.append(-1, ends[:-1])
    sign = "-" if back else ""
    return "".join(f"V{levels[end]}h{sign}{end - begin}" for begin, end in zip(begins, ends, strict=True))


def _marks(faults: Sequence[Values], rows: Mapping[int, int], across: Scale, row: int) -> list[str]:
    """A cross in the row of the fault's worker; a line through all rows for a fault of none."""
    marks = []
    for fault in faults:
        at = 100 * min(max(across.place(float(fault.get("time", 0.0))), 0.0), 1.0)
        title = f"<title>{number(float(fault.get('time', 0.0)))} s: {escape(str(fault.get('message', '')))}</title>"
        place = rows.get(fault["worker"]) if isinstance(fault.get("worker"), int) else None
        if place is None:
            line = f'x1="{at:.2f}%" x2="{at:.2f}%" y1="0" y2="{row * len(rows)}"'
            marks.append(f'<line {line} class="rule" stroke="#1f2328" stroke-dasharray="2 2">{title}</line>')
        else:
            y = place * row + row / 2 + 6
            marks.append(
                f'<text x="{at:.2f}%" y="{y:.0f}" text-anchor="middle" class="mark" fill="#1f2328" stroke="#f6f8fa" '
                f'stroke-width="3" paint-order="stroke" font-weight="700">×{title}</text>'
            )
    return marks


def _title(track: Track, of: str, name: str) -> str:
    spent = track.seconds()
    whole = sum(seconds for phase, seconds in spent.items() if phase in LOOKS)
    return f"<title>{escape(of)}, {name}: {100 * spent[name] / whole:.1f} %</title>"


def _faint(name: str, what: str) -> str:
    return f' {what}-opacity="0.45"' if name == FAINT else ""


def has_holes(tracks: Sequence[Track]) -> bool:
    return any((track.phases == LOST).any() for track in tracks)
