"""The bytes of a data file, checked against the size and md5 in the catalogue."""

from __future__ import annotations

import hashlib
import zlib
from pathlib import Path

from hogwild.errors import DataError
from hogwild.files import reading
from hogwild.tasks.catalog import File

_GZIP = 31  # zlib's wbits for "a gzip header, 32 KiB window"


def read(folder: Path, file: File) -> tuple[bytes, Path]:
    """The content of `file` in `folder`, unpacked and checked, and the path it was read from.

    Errors: DataError (missing, unreadable, too large, truncated, another size or digest than published).
    """
    path = next((folder / name for name in file.names if (folder / name).is_file()), folder / file.name)
    return decode(
        read_bytes(path, file.limit_bytes), file, str(path), packed=file.gzipped and path.name == file.name
    ), path


def read_bytes(path: Path, limit_bytes: int) -> bytes:
    """The bytes of the regular file `path`. Raises DataError if it cannot be read, or has more than `limit_bytes`."""
    return reading.read_bytes(path, limit_bytes, regular=True)


def decode(raw: bytes, file: File, where: str, *, packed: bool) -> bytes:
    """`raw`, unpacked if `packed`, checked against the size and digest of `file`. `where` names it in messages."""
    remedy = f"Delete it and get it again{' from ' + file.urls[0] if file.urls else ''}."
    content = _gunzip(raw, file, where, remedy) if packed else raw
    if file.size is not None and len(content) != file.size:
        raise DataError(f"{where}: {len(content):,} bytes of content, expected {file.size:,}. {remedy}")
    if file.digest is not None:
        kind, expected = file.digest
        found = hashlib.new(kind, content, usedforsecurity=False).hexdigest()
        if found != expected:
            raise DataError(f"{where}: {kind} of the content is {found}, expected {expected}. {remedy}")
    return content


def _gunzip(raw: bytes, file: File, where: str, remedy: str) -> bytes:
    limit = file.limit_bytes if file.size is None else file.size
    stream = zlib.decompressobj(_GZIP)
    try:
        content = stream.decompress(raw, limit + 1)
    except zlib.error as error:
        raise DataError(f"{where}: not valid gzip data ({len(raw):,} bytes; {error}). {remedy}") from error
    if len(content) > limit:
        raise DataError(f"{where}: unpacks to more than the expected {limit:,} bytes. {remedy}")
    if not stream.eof:
        raise DataError(f"{where}: gzip data ends early (at {len(content):,} of {limit:,} unpacked bytes). {remedy}")
    return content
