"""Writing where a stranger may have put a link: new files under random names, no link followed, the umask honoured."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO

from hogwild.errors import HogwildError, UsageError

MODE = 0o666  # less the user's umask
ESCAPED = "backslashreplace"  # of bytes that are no UTF-8, in names and messages: still valid JSON


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns an OSError of the block into one line."""
    try:
        yield
    except OSError as error:
        raise HogwildError(f"cannot write {path}: {error.strerror}") from error


def beside(path: Path) -> Path:
    """A name beside `path` that cannot be foreseen, for a file that will be renamed to it."""
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A new file that takes the place of `path` when the block ends without an exception, else nothing remains.

    A reader sees the old or the new file, after a power cut too. A link at `path` is replaced, not followed. OSError.
    """
    temporary = beside(path)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, MODE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(descriptor)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: Path, text: str) -> None:
    """Replace `path` by `text`, whole or not at all. HogwildError if it cannot be written."""
    with writing(path), replacing(path) as file:
        file.write(text.encode("utf-8", ESCAPED))


def open_append(path: Path) -> int:
    """A descriptor that appends to the regular file `path`, which is made if there is none.

    A link is refused, and so is a file that has a second name: what is written there would appear elsewhere. OSError.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, MODE)
    except OSError:
        if path.is_symlink():
            raise OSError(0, "it is a symbolic link, and is not followed: remove it") from None
        raise
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode) or facts.st_nlink > 1:
        os.close(descriptor)
        raise OSError(0, "it is no regular file, or has a second name (hard link): remove it")
    return descriptor


def open_fresh(path: Path) -> int:
    """A descriptor that writes a new regular file `path`; what was there, file or link, is removed. OSError."""
    path.unlink(missing_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, MODE)


def refuse_links(folder: Path, allowed: Collection[str] = ()) -> None:
    """UsageError naming the first symbolic link in `folder` or below, other than those called one of `allowed` that
    lead to a name beside them. Links are not followed in the search.
    """
    for here, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(here, name)
            if path.is_symlink() and not (name in allowed and "/" not in os.readlink(path)):
                raise UsageError(
                    f"{path} is a symbolic link, and nothing is written through links: replace it by what it points to"
                )


def append(path: Path, content: str | bytes) -> None:
    """Append `content` to `path`, at once, all of it or nothing. HogwildError if it cannot be written."""
    encoded = content if isinstance(content, bytes) else content.encode("utf-8", ESCAPED)
    with writing(path), os.fdopen(open_append(path), "ab", buffering=0) as file:
        before, data = os.fstat(file.fileno()).st_size, memoryview(encoded)
        try:
            while data:
                data = data[file.write(data) :]
        except OSError:
            file.truncate(before)  # a full disk takes a part
            raise


def is_full(error: BaseException | None) -> bool:
    """Whether a write failed because the disk, or the user's share of it, is full."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
