"""One member of a zip archive, in memory: nothing of an archive is ever written to disk."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from hogwild.errors import DataError
from hogwild.files.reading import reading

PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def member(content: bytes, name: str, path: Path, limit_bytes: int) -> bytes:
    """The bytes of the member `name` of the zip archive `content`, called `path` in messages.

    Errors: DataError: no zip archive, damaged, no such member, packed in another way than deflate (which bounds what
    unpacking allocates), or a member of more than `limit_bytes`. The limit holds for what is unpacked, not only for the
    size that the archive declares.
    """
    with reading(path, "a whole zip archive", remedy="Get it again."), zipfile.ZipFile(io.BytesIO(content)) as archive:
        if name not in archive.namelist():
            raise DataError(f"{path}: there is no {name} in it. Get it again.")
        found = archive.getinfo(name)
        if found.compress_type not in PACKINGS or found.flag_bits & 1:
            raise DataError(f"{path}: {name} is packed in a way that is not read (or encrypted)")
        if found.file_size > limit_bytes:
            raise DataError(f"{path}: {name} has {found.file_size:,} bytes, more than {limit_bytes:,}")
        with archive.open(found) as stream:
            unpacked = stream.read(limit_bytes + 1)
    if len(unpacked) > limit_bytes:
        raise DataError(f"{path}: {name} unpacks to more than {limit_bytes:,} bytes")
    return unpacked
