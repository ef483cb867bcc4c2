"""`hogwild plot RUN...`: curves of runs as PNG, SVG or PDF, in a size for papers, or their numbers as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hogwild.cli import picture, shell
from hogwild.errors import UsageError
from hogwild.files.writing import write_atomically, writing
from hogwild.options import unknown
from hogwild.report.record import AXES, Point, Record, records, showing
from hogwild.text import say

SUFFIXES = (".png", ".svg", ".pdf", ".csv")
WIDTHS = {"column": 3.3, "page": 6.8}  # inches of a figure in a paper
GOLDEN = 0.62


def main(argv: Sequence[str] | None = None) -> int:
    return shell.run(_plot, argv)


def parser() -> shell.Parser:
    parser = shell.Parser(
        "hogwild plot", "Draw a curve of each run into one picture. All runs of a folder, as of compare."
    )
    parser.add_argument("run", nargs="+", metavar="RUN", help="run directory, or a folder with runs")
    parser.add_argument(
        "-o", "--out", required=True, metavar="FILE", help="FILE.png, .svg, .pdf, or .csv for the numbers"
    )
    parser.add_argument("--x", choices=list(AXES), default="samples", help="horizontal axis (default: samples)")
    parser.add_argument(
        "--y", metavar="NAME", help="what is drawn: train_loss, test_accuracy, ... (default: test loss)"
    )
    parser.add_argument("--log", action="store_true", help="powers of ten have equal distances on the vertical axis")
    parser.add_argument(
        "--width", choices=list(WIDTHS), default="page", help="of a paper's column or page (default: page)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace FILE if it exists")
    return parser


def _plot(argv: Sequence[str]) -> int:
    options = parser().parse(argv)
    out = Path(options.out)
    if out.suffix not in SUFFIXES:
        raise UsageError(f"{out}: expected a name that ends in {', '.join(SUFFIXES)}")
    if out.exists() and not options.overwrite:
        raise UsageError(f"{out} exists: choose another name with -o, or --overwrite")
    with showing(*options.run):
        found = records(options.run)
        y = options.y or _usual(found)
        curves = {run.name: curve for run in found if (curve := run.curve(y, options.x))}
    if not curves:
        raise unknown("curve", y, sorted({name for run in found for name in run.measured()}))
    if out.suffix == ".csv":
        with writing(out):
            write_atomically(out, _table(curves, options.x, y))
    else:
        picture.save(out, lambda axes: _paint(axes, curves, options.x, y, log=options.log, width=WIDTHS[options.width]))
    say(f"{out}: {y} of {len(curves)} runs" if len(curves) > 1 else f"{out}: {y} of {next(iter(curves))}")
    return 0


def _usual(found: Sequence[Record]) -> str:
    names = [name for run in found for name in run.measured()]
    return next((name for name in ("test_loss", "validation_loss", "train_loss") if name in names), "train_loss")


def _table(curves: dict[str, list[Point]], x: str, y: str) -> str:
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(["run", x, y])
    for name, curve in curves.items():
        writer.writerows([name, f"{at:.9g}", "" if math.isnan(value) else f"{value:.9g}"] for at, value in curve)
    return file.getvalue()


def _paint(axes: Any, curves: dict[str, list[Point]], x: str, y: str, *, log: bool, width: float) -> None:
    axes.figure.set_size_inches(width, width * GOLDEN)
    for name, curve in curves.items():
        axes.plot([at for at, _ in curve], [value for _, value in curve], label=picture.label(name), linewidth=1.2,
                  marker="." if len(curve) == 1 else None)  # fmt: skip
    axes.set(xlabel=AXES[x], ylabel=picture.label(y.replace("_", " ")))
    if log:
        axes.set_yscale("log")
    if len(curves) > 1:
        axes.legend(fontsize="small", frameon=False)
