"""Errors that a user can meet, each with its exit code. A message is one line: the fault, the numbers, the remedy."""

from __future__ import annotations

from hogwild.text import cut, printable


class HogwildError(Exception):
    """An error that is shown to the user as one line instead of a traceback.

    The message may quote a file: it is cut, and characters that a terminal would obey are escaped.
    `summary` may carry the results of a run that ended with this error (the keys of summary.json).
    """

    exit_code = 1
    exit_reason = "failed"  # value of exit_reason in summary.json

    def __init__(self, message: str, *, summary: dict[str, object] | None = None) -> None:
        super().__init__(cut(printable(message)))
        self.summary: dict[str, object] = {} if summary is None else summary


class UsageError(HogwildError):
    """The request itself is wrong: an unknown name, a value out of range, a missing device."""

    exit_code = 2


class DivergedError(HogwildError):
    """A loss or a gradient became NaN or infinite, and the options say that the run stops then."""

    exit_code = 3
    exit_reason = "diverged"


class OwnCodeError(HogwildError):
    """The user's own code raised an exception. The message names its type, text and place, and the file with the
    traceback; it is the `__cause__`.
    """


class TooFewWorkersError(HogwildError):
    """Fewer workers are left than --min-workers allows."""

    exit_code = 4
    exit_reason = "too_few_workers"


class DataError(HogwildError):
    """A data file is missing, damaged, or has other contents than expected."""

    exit_code = 5


class CheckpointError(HogwildError):
    """A checkpoint is missing, damaged, incompatible or could not be written."""

    exit_code = 5


class Interrupted(HogwildError):
    """The run was stopped by Ctrl-C, SIGTERM or SIGHUP and has written its checkpoint."""

    exit_code = 130
    exit_reason = "interrupted"
