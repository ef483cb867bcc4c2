"""`hogwild reproduce`: a figure of a paper, computed again; writes CSV and PNG, prints claim | measured | holds."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from hogwild import system
from hogwild.cli import shell
from hogwild.errors import UsageError
from hogwild.reproduce import REGISTRY, find
from hogwild.reproduce.figure import SCALES, Figure

DESCRIPTION = "Compute figures of papers again: the claim, the measurement here, and whether the claim holds."


def main(argv: Sequence[str]) -> int:
    """Compute the figures one after the other. Returns 0 also if a claim does not hold, because that is a result."""
    options = parser().parse(argv)
    names = list(REGISTRY) if options.figures in (["all"], ["list"]) else options.figures
    figures = [find(name) for name in names]
    if options.figures == ["list"]:
        for figure in figures:
            print(f"{figure.name:10} {figure.source}: {figure.claim}")
        return 0
    figures = at_scale(figures, options.scale, options.figures == ["all"])
    for name in ("seed", "jobs"):
        if getattr(options, name) < (least := 0 if name == "seed" else 1):
            raise UsageError(f"--{name} {getattr(options, name)}: it must be at least {least}")
    for variable in system.THREAD_VARIABLES:
        os.environ[variable] = "1"
    compute(figures, options.scale, options.seed, options.out or Path("runs/reproduce") / options.scale, options.jobs)
    return 0


def at_scale(figures: Sequence[Figure], scale: str, whole: bool) -> list[Figure]:
    """Those that can be computed at that scale. UsageError if one cannot, unless all were asked for (`whole`)."""
    for figure in figures:
        if scale not in figure.scales and not whole:
            raise UsageError(f"{figure.name} has no scale {scale}: give --scale {' or '.join(figure.scales)}")
    return [figure for figure in figures if scale in figure.scales]


def compute(figures: Sequence[Figure], scale: str, seed: int, folder: Path, jobs: int) -> None:
    """Write each figure's CSV and PNG, print its line, then write the table of all figures in `folder`.

    Raises UsageError if the folder is not writable.
    """
    from hogwild.reproduce import output
    from hogwild.reproduce.study import Study

    try:
        study = Study(scale, seed, folder, jobs)
        for figure in figures:
            output.write_csv(folder / f"{figure.name}.csv", figure, figure.compute(study), scale)
            _, rows = output.read_csv(folder / f"{figure.name}.csv", figure)
            if not output.draw(folder / f"{figure.name}.png", figure, rows):
                print(f"no {figure.name}.png: it needs matplotlib: pip install 'hogwild[plot]'", file=sys.stderr)
            if figure.report is not None:
                (folder / f"{figure.name}.md").write_text(figure.report(rows))
            print(" | ".join(output.summary(figure, rows)), flush=True)
        output.write_table(folder, [find(name) for name in REGISTRY])
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror or error}") from None


def parser() -> shell.Parser:
    parser = shell.Parser("hogwild reproduce", DESCRIPTION)
    add = parser.add_argument
    add("figures", nargs="+", metavar="FIG", help="fig1, fig2, ... (or 1, 2, ...), or all; list names them")
    add("--scale", default=SCALES[0], choices=SCALES, help="tiny: minutes; small: longer; paper: the paper's")
    add("--out", type=Path, metavar="DIR", help="CSV, PNG, table, finished work (default: runs/reproduce/SCALE)")
    add("--seed", type=int, default=0, metavar="N", help="seed of all randomness (default: 0)")
    jobs = system.cores().usable
    add("--jobs", type=int, default=jobs, metavar="N", help="runs at a time (default: number of cores)")
    return parser
