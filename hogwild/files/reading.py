"""Reading what a stranger may have written: a limit before anything is read, and one line for every failure.

A reader puts everything that it does with the content into `with reading(...)`. Whatever goes wrong there, foreseen
or not, is the fault of the content: it becomes one HogwildError that names the file, the reason and the remedy.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from hogwild.errors import DataError, HogwildError
from hogwild.text import cut, quoted

Error = type[HogwildError]

SMALL_BYTES = 1 << 20
"""The limit of a file that people write, or a run once: a configuration, a summary, a manifest."""

TABLE_BYTES = 64 << 20
"""The limit of a table that is read as a whole: a histogram, a topology, results."""

_REASON_LIMIT = 200


@contextlib.contextmanager
def reading(what: object, expected: str, *, error: Error = DataError, remedy: str = "") -> Iterator[None]:
    """Turns every exception of the block into `error`: "<what> is not <expected>: <reason>. <remedy>".

    A HogwildError passes as it is, since it already says what is wrong.
    """
    try:
        yield
    except HogwildError:
        raise
    except Exception as fault:
        end = f". {remedy}" if remedy else ""
        if isinstance(fault, OSError) and fault.strerror:
            raise error(f"cannot read {what}: {fault.strerror}{end}") from fault
        raise error(f"{what} is not {expected}: {reason(fault)}{end}") from fault


def reason(fault: BaseException) -> str:
    """What an exception says about the content, in a few words."""
    if isinstance(fault, RecursionError):
        return "it is nested too deeply"
    if isinstance(fault, MemoryError):
        return "it asks for more memory than there is"
    if isinstance(fault, KeyError) and fault.args:
        return f"it has no {quoted(fault.args[0])}"
    if isinstance(fault, UnicodeDecodeError):
        return f"byte {fault.start} is no {fault.encoding.upper()} text"
    if isinstance(fault, ArithmeticError):
        return "a number in it is out of range"
    text = " ".join(str(fault).split())
    return cut(text, _REASON_LIMIT) if text else type(fault).__name__


def read_bytes(
    path: Path, limit_bytes: int, *, error: Error = DataError, regular: bool = False, what: str = ""
) -> bytes:
    """The content of `path`: at most `limit_bytes`, else `error`. Nothing is read of a file that is larger.

    regular: refuse pipes and devices, which may never end.
    what: what to call the file in messages, if more than its path.
    """
    with reading(what or path, "a readable file", error=error), _opened(path, regular) as (file, size):
        if size <= limit_bytes:
            content = file.read(limit_bytes + 1)
            size = max(size, len(content))
        if size > limit_bytes:
            raise error(f"{what or path}: {size:,} bytes, more than {limit_bytes:,}; it is not read")
    return content


def read_text(path: Path, limit_bytes: int, *, error: Error = DataError, regular: bool = False, what: str = "") -> str:
    """The same as UTF-8 text."""
    with reading(what or path, "a text file", error=error):
        return read_bytes(path, limit_bytes, error=error, regular=regular, what=what).decode("utf-8")


def read_tail(path: Path, limit_bytes: int, *, error: Error = DataError) -> tuple[bytes, int]:
    """The last `limit_bytes` of a regular file, or all of it, and the position at which they begin."""
    with reading(path, "a readable file", error=error), _opened(path, True) as (file, size):
        start = max(0, size - limit_bytes)
        file.seek(start)
        content = file.read(limit_bytes)
    return content, start


def read_json(path: Path, limit_bytes: int = SMALL_BYTES, *, error: Error = DataError, remedy: str = "") -> Any:
    """The JSON value in a regular file. NaN and Infinity are not JSON and are refused."""
    with reading(path, "valid JSON", error=error, remedy=remedy):
        return parse_json(read_text(path, limit_bytes, error=error, regular=True))


def parse_json(text: str | bytes) -> Any:
    """json.loads without NaN, Infinity and numbers that no float holds. ValueError or RecursionError."""
    return json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)


def json_lines(
    path: Path, limit_bytes: int = TABLE_BYTES, *, error: Error = DataError, drop_partial: bool = False
) -> Iterator[dict[str, Any]]:
    """The objects of a JSONL file, which must be a regular one: one a line, read as they are asked for.

    `drop_partial`: a last line without a line break was cut off by a crash, and is left out.
    """
    total = 0
    with reading(path, "a file of JSON objects", error=error), _opened(path, True) as (file, _):
        number = 0
        while line := file.readline(SMALL_BYTES):
            number, total = number + 1, total + len(line)
            if total > limit_bytes:
                raise error(f"{path}: more than {limit_bytes:,} bytes; the rest is not read")
            if len(line) == SMALL_BYTES:
                raise error(f"{path}, line {number}: more than {SMALL_BYTES:,} bytes")
            if drop_partial and not line.endswith(b"\n"):
                return
            with reading(f"{path}, line {number}", "a JSON object", error=error):
                value = parse_json(line)
                if not isinstance(value, dict):
                    raise TypeError(f"it is {quoted(value)}")
            yield value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{quoted(text)} is out of range")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


@contextlib.contextmanager
def _opened(path: Path, regular: bool) -> Iterator[tuple[BinaryIO, int]]:
    """The file and its size in bytes (0 of a pipe). A regular file is asked for without waiting for a pipe's writer."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | (os.O_NONBLOCK if regular else 0))
    with os.fdopen(descriptor, "rb") as file:
        facts = os.fstat(descriptor)
        if stat.S_ISDIR(facts.st_mode):
            raise IsADirectoryError(0, "it is a directory")
        if regular and not stat.S_ISREG(facts.st_mode):
            raise OSError(0, "it is not a regular file")
        yield file, facts.st_size
