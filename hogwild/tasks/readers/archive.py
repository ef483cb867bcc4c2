"""Tar archives as a stream of their members, in memory: nothing of an archive is ever written to disk.

Limits hold before anything is read: of a member's declared size (that of a header with a long name or with further
facts too), of the number of members, of what the whole archive unpacks to, and of what unpacking it may allocate.
"""

from __future__ import annotations

import gzip
import io
import lzma
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from hogwild.errors import DataError
from hogwild.files.reading import reading

MEMBERS_LIMIT = 200_000
UNPACKED_LIMIT_BYTES = 4 << 30
UNPACKER_LIMIT_BYTES = 128 << 20  # xz -9 takes 65 MiB; a header may ask for 4 GiB
_BLOCK_BYTES = 1 << 16


def members(stored: BinaryIO, path: Path, limit_bytes: int) -> Iterator[tuple[str, bytes]]:
    """(name, content) of every regular file in the tar, tar.gz or tar.xz archive `stored`, called `path` in messages.

    Errors: DataError: damaged, truncated, no tar archive, a member of more than `limit_bytes`, or too much of it all.
    """
    with reading(path, "a whole tar archive", remedy="Get it again."):
        unpacked = _Unpacked(stored, path)

        class Member(tarfile.TarInfo):
            """Refuses a header before the size that it declares is read."""

            @classmethod
            def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Member:
                found = super().frombuf(buf, encoding, errors)
                if not 0 <= found.size <= limit_bytes:
                    raise DataError(f"{path}: {found.name} has {found.size:,} bytes, more than {limit_bytes:,}")
                if found.type == tarfile.GNUTYPE_SPARSE:
                    raise DataError(f"{path}: {found.name} is a file with holes, and is not read")
                unpacked.budget_bytes = 2 * limit_bytes + (1 << 20)
                return found

        with tarfile.open(fileobj=cast(BinaryIO, unpacked), mode="r|", tarinfo=Member) as archive:
            for number, member in enumerate(archive):
                if number == MEMBERS_LIMIT:
                    raise DataError(f"{path}: more than {MEMBERS_LIMIT:,} members")
                if member.isreg() and not member.issparse() and 0 <= member.size <= limit_bytes:
                    stream = archive.extractfile(member)
                    yield member.name, stream.read() if stream else b""
        unpacked.budget_bytes = UNPACKED_LIMIT_BYTES
        while unpacked.read(_BLOCK_BYTES):  # to the end, where xz keeps its checksum
            pass


class _Unpacked:
    """The bytes of an archive, unpacked as they are read, within two limits: in all, and until the next header."""

    def __init__(self, stored: BinaryIO, path: Path) -> None:
        magic = stored.read(6)
        stored.seek(0)
        self._path = path
        self._total_bytes = 0
        self.budget_bytes = _BLOCK_BYTES
        self._stored: BinaryIO = stored
        if magic.startswith(b"\x1f\x8b"):
            self._stored = cast(BinaryIO, gzip.GzipFile(fileobj=stored))
        elif magic == b"\xfd7zXZ\0":
            self._stored = cast(BinaryIO, io.BufferedReader(_XZ(stored)))

    def read(self, size: int) -> bytes:
        block = self._stored.read(size)
        self._total_bytes += len(block)
        self.budget_bytes -= len(block)
        if self._total_bytes > UNPACKED_LIMIT_BYTES or self.budget_bytes < 0:
            raise DataError(f"{self._path}: unpacks to more than its headers say, or {UNPACKED_LIMIT_BYTES:,} bytes")
        return block


class _XZ(io.RawIOBase):
    """lzma.LZMAFile with a limit of memory."""

    def __init__(self, stored: BinaryIO) -> None:
        self._stored = stored
        self._unpack = self._new()

    def readable(self) -> bool:
        return True

    def readinto(self, target: bytearray | memoryview) -> int:  # type: ignore[override]
        while True:
            if self._unpack.eof:
                rest = self._unpack.unused_data.lstrip(b"\0") or self._stored.read(_BLOCK_BYTES).lstrip(b"\0")
                if not rest:
                    return 0
                self._unpack = self._new()
                block = self._unpack.decompress(rest, len(target))
            else:
                packed = self._stored.read(_BLOCK_BYTES) if self._unpack.needs_input else b""
                if self._unpack.needs_input and not packed:
                    raise EOFError("its xz data end early")
                block = self._unpack.decompress(packed, len(target))
            if block:
                target[: len(block)] = block
                return len(block)

    @staticmethod
    def _new() -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=UNPACKER_LIMIT_BYTES)
