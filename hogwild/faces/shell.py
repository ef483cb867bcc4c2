"""What all commands share: an argument parser that raises, and errors that become one line and an exit code."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from hogwild.errors import HogwildError, Interrupted, UsageError

Command = Callable[[Sequence[str]], int]


class Parser(argparse.ArgumentParser):
    """argparse, but a mistake raises UsageError and an unknown flag is answered with the nearest one."""

    def __init__(self, prog: str, description: str) -> None:
        super().__init__(prog=prog, description=description, allow_abbrev=False, formatter_class=_Wide)

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}{'' if message.endswith('?') else '.'} See {self.prog} --help.")

    def parse(self, argv: Sequence[str]) -> argparse.Namespace:
        values, rest = self.parse_known_args(argv)
        if rest:
            flags = [flag for action in self._actions for flag in action.option_strings]
            close = difflib.get_close_matches(rest[0].partition("=")[0], flags, n=1)
            guess = f" Did you mean {close[0]}?" if close and rest[0].startswith("-") else ""
            self.error(f"unknown argument {rest[0]!r}.{guess}".removesuffix("."))
        return values


class _Wide(argparse.HelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=32)


def run(command: Command, argv: Sequence[str] | None = None) -> int:
    """The exit code of `command`. A HogwildError is told in one line on stderr; any other exception passes through."""
    try:
        return command(sys.argv[1:] if argv is None else argv)
    except Interrupted as error:
        print(f"hogwild: {_one_line(error)}", file=sys.stderr)
        return error.exit_code
    except HogwildError as error:
        print(f"hogwild: error: {_one_line(error)}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("hogwild: interrupted", file=sys.stderr)
        return Interrupted.exit_code


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
