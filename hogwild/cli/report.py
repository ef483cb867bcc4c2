"""`hogwild report RUN...`: one self-contained HTML page of a run, of several, or of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hogwild.cli import shell
from hogwild.errors import UsageError
from hogwild.files.writing import write_atomically, writing
from hogwild.text import say


def main(argv: Sequence[str] | None = None) -> int:
    return shell.run(_report, argv)


def parser() -> shell.Parser:
    parser = shell.Parser("hogwild report", "Write a page with the curves, delays, workers and faults of runs.")
    parser.add_argument("run", nargs="+", metavar="RUN", help="run directory, or a folder with runs, as of compare")
    parser.add_argument("-o", "--out", default="report.html", metavar="FILE", help="the page (default: report.html)")
    parser.add_argument("--overwrite", action="store_true", help="replace FILE if it exists")
    return parser


def _report(argv: Sequence[str]) -> int:
    options = parser().parse(argv)
    out = Path(options.out)
    if out.exists() and not options.overwrite:
        raise UsageError(f"{out} exists: choose another name with -o, or --overwrite")
    from hogwild.report import boxes, comparison, runs
    from hogwild.report.record import records, showing

    with showing(*options.run):
        found = records(options.run)
        compared = len(found) > comparison.MANY and not boxes.are_boxes(found)
        text = comparison.write(found) if compared else runs.write(found)
    with writing(out):
        write_atomically(out, text)
    say(f"{out}: {len(found)} runs, {len(text.encode()) / 1000:.0f} kB" if len(found) > 1 else
        f"{out}: {found[0].name}, {len(text.encode()) / 1000:.0f} kB")  # fmt: skip
    return 0
