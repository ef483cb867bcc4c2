"""The output of a figure: a CSV, a PNG, a line of text, and a row in the table of all figures."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from hogwild.errors import UsageError
from hogwild.reproduce.figure import Figure, Row

TABLE = "README.md"
HEAD = """# Figures, computed again

One row per figure: the claim of the paper, in our words, and the measurement here. Every number is in the CSV beside
this file. The top of each figure's module in `hogwild/reproduce/` lists the settings of the paper and our smaller ones.

```sh
{commands}
```

| figure | claim | measured | holds |
|---|---|---|---|
"""


def write_csv(path: Path, figure: Figure, rows: Sequence[Row], scale: str) -> None:
    """Write one line per row, with the scale in the first column. A missing value is an empty cell."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["scale", *figure.columns])
        writer.writerows([scale, *(row[column] for column in figure.columns)] for row in rows)


def read_csv(path: Path, figure: Figure) -> tuple[str, list[Row]]:
    """(scale, rows) as they were written. Raises UsageError if the columns are not those of this figure."""
    with path.open(newline="") as file:
        header, *lines = csv.reader(file)
    if header != ["scale", *figure.columns] or not lines:
        raise UsageError(f"{path} lacks the columns of {figure.name}: delete it, or run {figure.name} again")
    return lines[0][0], [dict(zip(figure.columns, map(_value, line[1:]), strict=True)) for line in lines]


def summary(figure: Figure, rows: Sequence[Row]) -> tuple[str, str, str]:
    """Claim, measured, holds."""
    verdict = figure.verdict(rows)
    return figure.claim, verdict.measured, "yes" if verdict.holds else "no"


def write_table(folder: Path, figures: Iterable[Figure]) -> None:
    """The table of every figure with a CSV in `folder`, under the commands that compute them."""
    lines = []
    of_scale: dict[str, list[str]] = {}
    for figure in figures:
        if (path := folder / f"{figure.name}.csv").exists():
            scale, rows = read_csv(path, figure)
            of_scale.setdefault(scale, []).append(figure.name)
            where = ", ".join([figure.source, scale, *([rows[0]["data"]] if "data" in figure.columns else [])])
            cells = [f"[{figure.name}]({figure.name}.csv), {where}", *summary(figure, rows)]
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n")
    names = [figure.name for figure in figures if (folder / f"{figure.name}.png").exists()]
    pictures = [f"\n![{name}]({name}.png)" for name in names]
    commands = "\n".join(
        f"hogwild reproduce {'all' if scale == 'tiny' else ' '.join(of)} --scale {scale} --out {folder}"
        for scale, of in of_scale.items()
    )
    (folder / TABLE).write_text(HEAD.format(commands=commands) + "".join(lines) + "\n".join(pictures) + "\n")


def draw(path: Path, figure: Figure, rows: Sequence[Row]) -> bool:
    """Write the PNG. Returns False if matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure as Canvas
    except ImportError:
        return False
    canvas = Canvas(figsize=(7, 4.5), layout="constrained")
    axes = canvas.subplots()
    figure.plot(axes, rows)
    axes.set_title(f"{figure.name}: {figure.source}", fontsize="small")
    canvas.savefig(path, dpi=100)
    return True


def _value(text: str) -> int | float | str | None:
    if not text:
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
