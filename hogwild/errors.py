"""What can go wrong for a user, and the exit code that says so. A message is one line: what, numbers, what to do."""

from __future__ import annotations

from hogwild.text import cut, printable


class HogwildError(Exception):
    """An error that is explained to the user in one line instead of a traceback.

    The message may quote a file: it is cut, and characters that a terminal would obey are escaped.
    `summary` may carry the facts of a run that ended this way (the keys of summary.json), so that they are not lost.
    """

    exit_code = 1
    exit_reason = "failed"  # what summary.json calls a run that ended this way

    def __init__(self, message: str, *, summary: dict[str, object] | None = None) -> None:
        super().__init__(cut(printable(message)))
        self.summary: dict[str, object] = {} if summary is None else summary


class UsageError(HogwildError):
    """The request itself is wrong: an unknown name, a value out of range, a missing device."""

    exit_code = 2


class DivergedError(HogwildError):
    """A loss or a gradient became NaN or infinite and the run was told to stop then."""

    exit_code = 3
    exit_reason = "diverged"


class TooFewWorkersError(HogwildError):
    """Fewer workers are left than --min-workers allows."""

    exit_code = 4
    exit_reason = "too_few_workers"


class DataError(HogwildError):
    """A data file is missing, damaged or not what its name promises."""

    exit_code = 5


class CheckpointError(HogwildError):
    """A checkpoint is missing, damaged, incompatible or could not be written."""

    exit_code = 5


class Interrupted(HogwildError):
    """Ctrl-C or SIGTERM, after the checkpoint was written."""

    exit_code = 130
    exit_reason = "interrupted"
