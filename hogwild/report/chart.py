"""Charts as static SVG: lines, columns and rows of shares. No script, nothing from a network; text stays text.

The outer element has no viewBox, so that text keeps its size on every screen: places along x are per cent, those along
y pixels. The data are in an inner element that stretches. Colours are attributes, for places where style sheets are
forbidden; where they are not, classes set the colours of a dark screen.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hogwild.report.scale import Point, Scale, number, thinned
from hogwild.text import cut, printable

COLOURS = ("#0072b2", "#b34e00", "#007a5a", "#a83279", "#6b5b00", "#3c3c8f")
DARK = ("#56b4e9", "#f0a35e", "#3ecf9f", "#e68ac1", "#e0d060", "#a5a5ff")
DIM, DARK_DIM = "#57606a", "#9da7b1"
DASHES = ("", "7 4", "2 3", "9 3 2 3", "12 5", "4 2 1 2")
HEIGHT = 220  # pixels of the data
ROW = 24  # pixels from one row to the next
MOST_DOTS = 60  # of a line that shows the value under the pointer
MOST_NAMES = 8  # of columns that are written below them
MOST_TICKS = 3  # with room on a small screen
UNITS = 1000.0  # of the inner element


@dataclass(frozen=True)
class Line:
    """`look`: number of its colour and dash; `faint`: one of several seeds, behind their median."""

    name: str
    points: Sequence[Point]
    look: int = 0
    faint: bool = False


@dataclass(frozen=True)
class Drawing:
    """The inside of an <svg> that is as wide as the page and `height` pixels high."""

    height: float
    inside: str


def escape(text: str) -> str:
    """Any text of a run as text of a page: of at most 2,000 characters, those that control something as \\u001b."""
    return html.escape(printable(cut(text)))


def colour(look: int) -> str:
    return f'class="s{look % len(COLOURS)}" stroke="{COLOURS[look % len(COLOURS)]}"'


def dashes(look: int) -> str:
    """Two lines of one colour have different dashes, for 36 lines."""
    return DASHES[(look + look // len(COLOURS)) % len(DASHES)]


def filled(look: int) -> str:
    return f'class="f{look % len(COLOURS)}" fill="{COLOURS[look % len(COLOURS)]}"'


def lines(
    found: Sequence[Line],
    x_label: str,
    *,
    log: bool = False,
    levels: Mapping[str, float] | None = None,
    ticks: Mapping[float, str] | None = None,
) -> Drawing:
    """One path a line. `levels`: horizontal lines with a name. `ticks`: texts at places of x, in place of numbers."""
    drawn = [Line(line.name, thinned(line.points), line.look, line.faint) for line in found]
    across = Scale.of(x for line in drawn for x, _ in line.points)
    up = Scale.of([y for line in drawn for _, y in line.points] + list((levels or {}).values()), log=log)
    inner = []
    for name, level in (levels or {}).items():
        y = _y(up, level)
        path = f'<path d="M0 {y}H1000" class="dim" stroke="{DIM}" stroke-dasharray="3 3" {STROKE}>'
        inner.append(f"{path}<title>{escape(name)}: {number(level)}</title></path>")
    for line in sorted(drawn, key=lambda line: not line.faint):
        inner.append(_path(line, across, up))
    return _frame(across, up, "".join(inner), x_label, ticks)


def columns(
    groups: Mapping[str, Mapping[float, float]],
    x_label: str,
    *,
    width: float = 1.0,
    names: Mapping[float, str] | None = None,
) -> Drawing:
    """A histogram: for each group the height of the columns at their places, which are `width` apart. Several groups
    stand side by side. `names`: of all places, in place of numbers.
    """
    places = [place for group in groups.values() for place in group]
    across = Scale(min(places) - width / 2, max(places) + width / 2)
    up = Scale.of((height for group in groups.values() for height in group.values()), zero=True)
    part = 0.9 * width / len(groups)
    inner = []
    for look, (name, group) in enumerate(groups.items()):
        bars = []
        for place, height in sorted(group.items()):
            left = UNITS * across.place(place - 0.45 * width + look * part)
            at = names[place] if names else number(place)
            bars.append(
                f'<path d="M{left:.1f} 1000V{_y(up, height)}h{UNITS * part / (across.high - across.low):.1f}V1000z">'
                f"<title>{escape(name)}, {escape(at)}: {number(height)}</title></path>"
            )
        inner.append(f"<g {filled(look)}>{''.join(bars)}</g>")
    ticks = dict(list(names.items())[:: max(1, len(names) // MOST_NAMES)]) if names else None
    return _frame(across, up, "".join(inner), x_label, ticks, centred=True)


def shares(rows: Mapping[str, Mapping[str, float]], looks: Mapping[str, int], faint: str = "") -> Drawing:
    """A row for each key, divided into the shares of the names in `looks`, whose sum is at most 1. `faint`: a name that
    is drawn in a paler colour.
    """
    parts = []
    for index, (name, row) in enumerate(rows.items()):
        y, left = index * ROW + 2, 0.0
        parts.append(text(-8, y + 13, "end", name))
        for part, look in looks.items():
            share = row.get(part, 0.0)
            if share > 0:
                box = f'x="{100 * left:.3f}%" y="{y}" width="{100 * share:.3f}%" height="{ROW - 5}"'
                pale = ' fill-opacity="0.45"' if part == faint else ""
                title = f"<title>{escape(name)}, {escape(part)}: {100 * share:.1f} %</title>"
                parts.append(f"<rect {box} {filled(look)}{pale}>{title}</rect>")
            left += share
    labels = [text(f"{at}%", len(rows) * ROW + 16, _anchor(at), f"{at} %") for at in (0, 50, 100)]
    return Drawing(len(rows) * ROW + 22, "".join(parts + labels))


# ---- parts ----------------------------------------------------------------------------------------------------------

STROKE = 'fill="none" vector-effect="non-scaling-stroke"'


def _y(up: Scale, value: float) -> str:
    return f"{UNITS * (1 - up.place(value)):.1f}"


def _path(line: Line, across: Scale, up: Scale) -> str:
    """A line that breaks where a value is no number. A value that stands alone, and every value of a short line, is a
    dot: a stroke of no length with round ends, which stays round when the element stretches.
    """
    steps, dots, pen = [], [], False
    places = [(across.place(x), up.place(y), x, y) for x, y in line.points]
    for index, (x, y, x_value, y_value) in enumerate(places):
        if math.isnan(x) or math.isnan(y):
            pen = False
            continue
        at = f"{UNITS * x:.1f} {UNITS * (1 - y):.1f}"
        steps.append(f"{'L' if pen else 'M'}{at}")
        alone = not pen and (index + 1 == len(places) or math.isnan(places[index + 1][1]))
        if alone or (len(places) <= MOST_DOTS and not line.faint):
            title = f"<title>{escape(line.name)}: {number(y_value)} at {number(x_value)}</title>"
            dots.append(f'<path d="M{at}h0" {STROKE}>{title}</path>')
        pen = True
    faint = ' stroke-opacity="0.35"' if line.faint else ""
    dash = dashes(line.look)
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    drawn = f'<path d="{"".join(steps)}" {STROKE} stroke-width="1.8"{dashed}><title>{escape(line.name)}</title></path>'
    rounds = f'<g stroke-width="6" stroke-linecap="round">{"".join(dots)}</g>' if dots else ""
    return f"<g {colour(line.look)}{faint}>{drawn}{rounds}</g>"


def _frame(
    across: Scale,
    up: Scale,
    inner: str,
    x_label: str,
    ticks: Mapping[float, str] | None = None,
    *,
    centred: bool = False,
) -> Drawing:
    grid, labels = [], []
    for value in up.ticks():
        y = _y(up, value)
        grid.append(f"M0 {y}H1000")
        labels.append(text(-8, float(y) / UNITS * HEIGHT + 4, "end", number(value)))
    rule = f'<path d="{"".join(grid)}" class="grid" stroke="#d0d7de" {STROKE}/>'
    stretched = f'<svg width="100%" height="{HEIGHT}" viewBox="0 0 1000 1000" preserveAspectRatio="none"'
    data = f'{stretched} overflow="visible">{rule}{inner}</svg>'
    return Drawing(HEIGHT + 40, data + "".join(labels) + x_axis(across, HEIGHT, x_label, ticks, centred=centred))


def x_axis(
    across: Scale, y: float, label: str, ticks: Mapping[float, str] | None = None, *, centred: bool = False
) -> str:
    """Of many ticks every second one is left out on small screens. `centred`: the first and the last one, too, stand
    below the middle of what they name.
    """
    ticks = {value: number(value) for value in across.ticks(8)} if ticks is None else ticks
    marks = [text("50%", y + 35, "middle", label)]
    for index, (value, words) in enumerate(ticks.items()):
        at = 100 * across.place(value)
        marks.append(
            text(
                f"{at:.2f}%",
                y + 18,
                "middle" if centred else _anchor(at),
                words,
                "second" if index % 2 and len(ticks) > MOST_TICKS else "",
            )
        )
    return "".join(marks)


def _anchor(percent: float) -> str:
    return "start" if percent < 5 else "end" if percent > 95 else "middle"


def text(x: object, y: float, anchor: str, words: str, kind: str = "") -> str:
    look = f'class="dim{" " if kind else ""}{kind}" fill="{DIM}"'
    return f'<text x="{x}" y="{y:.1f}" text-anchor="{anchor}" {look}>{escape(words)}</text>'
