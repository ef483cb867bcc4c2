"""`hogwild trace RUN`: the timeline of a run's workers for ui.perfetto.dev, or as a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hogwild.cli import shell
from hogwild.errors import UsageError
from hogwild.files.writing import replacing, writing
from hogwild.text import say

WRITERS = {".json": "trace", ".csv": "table"}


def main(argv: Sequence[str] | None = None) -> int:
    return shell.run(_trace, argv)


def parser() -> shell.Parser:
    parser = shell.Parser(
        "hogwild trace", "Write what each worker did when: trace events for ui.perfetto.dev, or a table of intervals."
    )
    parser.add_argument("run", metavar="RUN", help="run directory, or a folder with runs, as of several boxes")
    parser.add_argument("-o", "--out", default="trace.json", metavar="FILE", help="FILE.json or .csv (trace.json)")
    parser.add_argument("--overwrite", action="store_true", help="replace FILE if it exists")
    return parser


def _trace(argv: Sequence[str]) -> int:
    options = parser().parse(argv)
    out = Path(options.out)
    if out.suffix not in WRITERS:
        raise UsageError(f"{out}: expected a name that ends in {' or '.join(WRITERS)}")
    if out.exists() and not options.overwrite:
        raise UsageError(f"{out} exists: choose another name with -o, or --overwrite")
    from hogwild.report import trace
    from hogwild.report.record import records, showing

    with showing(options.run):
        runs = records([options.run])
        tracks = [track for run in runs for track in run.tracks]
    if not tracks:
        raise UsageError(f"{options.run} has no timeline: it has not trained yet, or version 0.1 made it")
    with showing(options.run), writing(out), replacing(out) as file:
        for part in getattr(trace, WRITERS[out.suffix])(runs):
            file.write(part.encode())
    say(f"{out}: {sum(len(track.begins) for track in tracks):,} intervals of {len(tracks)} workers")
    return 0
