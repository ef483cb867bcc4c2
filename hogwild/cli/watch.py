"""`hogwild watch RUN`: what a run does now, from another terminal, until it ends."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Sequence

from hogwild.cli import shell
from hogwild.report.record import Record, showing
from hogwild.report.screen import screen
from hogwild.runs.directory import RunDirectory, is_in_use

REFRESH_S = 0.5
LEAST_IDLE = 10  # times as long as a reading took: a long journal must not take a core away from the run
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
    if options.once or not sys.stdout.isatty():
        return _follow(options.run, once=options.once)
    lines, goes_on, took_s = _read(options.run, shutil.get_terminal_size().columns)
    sys.stdout.write(ENTER)
    try:
        while goes_on:
            size = shutil.get_terminal_size()
            shown = [line[: size.columns - 1] for line in lines[: size.lines - 1]]
            sys.stdout.write(HOME + "".join(f"{line}{END_OF_LINE}\n" for line in shown) + BELOW)
            sys.stdout.flush()
            time.sleep(max(REFRESH_S, LEAST_IDLE * took_s))
            lines, goes_on, took_s = _read(options.run, size.columns)
    except KeyboardInterrupt:
        pass
    finally:
        sys.stdout.write(LEAVE)
    print("\n".join(_read(options.run, shutil.get_terminal_size().columns)[0]))
    return 0


def _follow(path: str, *, once: bool) -> int:
    """Without a terminal: the state once, or a line for every change."""
    last = ""
    while True:
        lines, goes_on, took_s = _read(path, 100)
        if once:
            print("\n".join(lines))
            return 0
        if (line := " ".join(lines[1].split())) != last:
            print(line, flush=True)
            last = line
        if not goes_on:
            return 0
        time.sleep(max(REFRESH_S, LEAST_IDLE * took_s))


def _read(path: str, width: int) -> tuple[list[str], bool, float]:
    """The screen of the run, whether it goes on, and how many seconds the reading took."""
    began = time.monotonic()
    with showing(path):
        in_use = is_in_use(RunDirectory.open(path).path)  # first: a run that ends meanwhile has written its summary
        record = Record.open(path)
        lines = screen(record, width)
        if not (in_use or record.has_ended):
            lines[1] = f"no process runs it any more: it was killed, and goes on with --resume. {lines[1]}"
        return lines, in_use and not record.has_ended, time.monotonic() - began
