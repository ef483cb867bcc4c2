"""`hogwild watch RUN`: what a run does now, from another terminal, until it ends."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Sequence

from hogwild.cli import shell
from hogwild.report.record import Record
from hogwild.report.screen import screen

REFRESH_S = 0.5
ENTER, LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"  # the other screen of the terminal, without a cursor
HOME, END_OF_LINE, BELOW = "\x1b[H", "\x1b[K", "\x1b[J"


def main(argv: Sequence[str] | None = None) -> int:
    return shell.run(_watch, argv)


def parser() -> shell.Parser:
    parser = shell.Parser(
        "hogwild watch", "Show a running run: curves, delays, workers and rates. Ctrl-C leaves it alone."
    )
    parser.add_argument("run", metavar="RUN", help="run directory")
    parser.add_argument("--once", action="store_true", help="print the present state and end")
    return parser


def _watch(argv: Sequence[str]) -> int:
    options = parser().parse(argv)
    record = Record.open(options.run)
    if options.once or not sys.stdout.isatty():
        return _follow(options.run, once=options.once)
    sys.stdout.write(ENTER)
    try:
        while not record.has_ended:
            size = shutil.get_terminal_size()
            shown = [line[: size.columns - 1] for line in screen(record, size.columns)[: size.lines - 1]]
            sys.stdout.write(HOME + "".join(f"{line}{END_OF_LINE}\n" for line in shown) + BELOW)
            sys.stdout.flush()
            time.sleep(REFRESH_S)
            record = Record.open(options.run)
    except KeyboardInterrupt:
        pass
    finally:
        sys.stdout.write(LEAVE)
    print("\n".join(screen(Record.open(options.run), shutil.get_terminal_size().columns)))
    return 0


def _follow(path: str, *, once: bool) -> int:
    """Without a terminal: the state once, or a line for every change."""
    last = ""
    while True:
        record = Record.open(path)
        if once:
            print("\n".join(screen(record, 100)))
            return 0
        if (line := " ".join(screen(record, 100)[1].split())) != last:
            print(line, flush=True)
            last = line
        if record.has_ended:
            return 0
        time.sleep(REFRESH_S)
