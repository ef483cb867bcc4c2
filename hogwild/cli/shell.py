"""Common parts of all commands: an argument parser that raises, and the translation of errors to one line and an exit
code.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import io
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import NoReturn, TextIO

from hogwild.errors import HogwildError, Interrupted, UsageError
from hogwild.text import cut, printable, quoted

Command = Callable[[Sequence[str]], int]


class Parser(argparse.ArgumentParser):
    """argparse, but a mistake raises UsageError, and the message for an unknown flag suggests the most similar one."""

    def __init__(self, prog: str, description: str, *, add_help: bool = True) -> None:
        super().__init__(
            prog=prog, description=description, add_help=add_help, allow_abbrev=False, formatter_class=_Wide
        )

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}{'' if message.endswith('?') else '.'} See {self.prog} --help.")

    def parse(self, argv: Sequence[str]) -> argparse.Namespace:
        values, rest = self.parse_known_args(argv)
        if rest:
            flags = [flag for action in self._actions for flag in action.option_strings]
            close = difflib.get_close_matches(cut(rest[0].partition("=")[0], 100), flags, n=1)
            guess = f" Did you mean {close[0]}?" if close and rest[0].startswith("-") else ""
            self.error(f"unknown argument {quoted(rest[0])}.{guess}".removesuffix("."))
        return values


class _Wide(argparse.HelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=32)


def run(command: Command, argv: Sequence[str] | None = None) -> int:
    """Runs `command` and returns its exit code. A HogwildError is printed in one line on stderr, and so is a path that
    cannot be used (a name that is too long, a folder without permission); any other exception passes through.
    """
    _open_streams()
    try:
        with _signals_as_ctrl_c():
            code = command(sys.argv[1:] if argv is None else argv)
            sys.stdout.flush()
            return code
    except BrokenPipeError:
        if not _has_lost_its_reader(sys.stdout):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for output that is flushed at exit
        return 128 + signal.SIGPIPE
    except Interrupted as error:
        print(f"hogwild: {_one_line(error)}", file=sys.stderr)
        return error.exit_code
    except HogwildError as error:
        print(f"hogwild: error: {_one_line(error)}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        if error.filename is None:
            raise
        print(f"hogwild: error: {_one_line(_of_path(error))}", file=sys.stderr)
        return HogwildError.exit_code
    except KeyboardInterrupt:
        print("hogwild: interrupted", file=sys.stderr)
        return Interrupted.exit_code


def _open_streams() -> None:
    """Replaces closed standard streams by /dev/null: else the next opened file would get the number of one of them.

    Characters outside the terminal's encoding are escaped.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _has_lost_its_reader(stream: TextIO) -> bool:
    """Whether `stream` is a pipe without a reader, as in `hogwild list | head`."""
    poll = select.poll()
    poll.register(stream, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


@contextlib.contextmanager
def _signals_as_ctrl_c() -> Iterator[None]:
    """SIGTERM and SIGHUP, unless that is ignored (nohup), interrupt the command."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [signal.SIGTERM, signal.SIGHUP]
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        numbers.pop()
    before = {number: signal.signal(number, signal.default_int_handler) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _of_path(error: OSError) -> HogwildError:
    return HogwildError(f"{quoted(os.fsdecode(error.filename))}: {error.strerror}")


def _one_line(error: Exception) -> str:
    return printable(" ".join(str(error).split()))
