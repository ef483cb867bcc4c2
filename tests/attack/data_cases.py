"""Damaged data files: idx, gzip, libsvm, CIFAR-10 records, pictures, tar archives, the cache of decoded pictures."""

from __future__ import annotations

import gzip
import io
import lzma
import random
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
from mutation import Planted, damaged, write
from PIL import Image

from hogwild.tasks.catalog import File
from hogwild.tasks.content import decode
from hogwild.tasks.datasets import text8
from hogwild.tasks.decoded_cache import _read as read_cache
from hogwild.tasks.readers import cifar_binary, idx, images, libsvm, ratings, zipped

Random = random.Random


def idx_file(r: Random) -> None:
    good = struct.pack(">IIII", 0x803, 4, 3, 2) + bytes(24)
    content = damaged(r, good)
    if r.random() < 0.5:
        packed = damaged(r, gzip.compress(content))
        content = decode(packed, File("x.gz", (), len(content), None, 1000, gzipped=True), "x", packed=True)
    idx.parse_idx(content, 3, Path("x"))


GZIP_BOMBS = [gzip.compress(bytes(size)) for size in (10, 50_000_000)]


def gzip_bomb(r: Random) -> None:
    packed = r.choice(GZIP_BOMBS)
    packed = packed if r.random() < 0.5 else damaged(r, packed)
    decode(packed, File("x.gz", (), None, None, 1000, gzipped=True), "x", packed=True)


def libsvm_file(r: Random) -> None:
    long_row = b"+1 " + b" ".join(b"%d:1" % i for i in range(1, 124)) + b"\n"
    bombs = [long_row + b"-1\n" * 600_000, b"-1 " + b"9" * 6000 + b":1\n", b"+1 \xb2:1\n"]
    libsvm.parse_libsvm(
        r.choice([*bombs, *(damaged(r, b"-1 3:1 11:1\n+1 5:1 122:1 \n-1 1:1\n") for _ in range(40))]), 123, Path("x")
    )


def zip_archive(r: Random, name: str, content: bytes) -> bytes:
    """With one member, damaged as a whole or in its content; or a bomb."""
    stream = io.BytesIO()
    content = r.choice([content, damaged(r, content), bytes(80_000_000) if r.random() < 0.1 else content])
    with zipfile.ZipFile(stream, "w", r.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as archive:
        archive.writestr(name, content)
    return stream.getvalue() if r.random() < 0.5 else damaged(r, stream.getvalue())


def ratings_file(r: Random) -> None:
    rows = b"196\t242\t3\t881250949\n186\t302\t3\t891717742\n22\t377\t1\t878887116\n"
    bombs = [b"9" * 100_000 + b"\t1\t1\t1\n", rows * 50_000, b"\t" * 1_000_000]
    content = zipped.member(zip_archive(r, "u.data", rows), "u.data", Path("x"), 64 << 20)
    ratings.parse_ratings(r.choice([content, *(damaged(r, rows) for _ in range(4)), *bombs]), b"\t", Path("x"))


def words_file(r: Random) -> None:
    text = b"anarchism originated as a term of abuse " * 50
    content = zipped.member(zip_archive(r, "text8", text), "text8", Path("x"), 100_000_000)
    text8.numbered(r.choice([content, damaged(r, text), b"x" * 5_000_000, b" " * 5_000_000]), Path("x"))


def tar(r: Random, mode: str, files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode, format=r.choice([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.type = r.choice([tarfile.REGTYPE] * 9 + [b"1", b"2", b"3", b"6", b"S", b"x", b"g", b"L", b"K"])
            member.linkname, member.size = r.choice(["", "../../x", "/etc/passwd"]), len(content)
            archive.addfile(member, io.BytesIO(content))
    return damaged(r, stream.getvalue()) if mode == "w" and r.random() < 0.6 else stream.getvalue()


def huge_header(r: Random) -> bytes:
    """A header that declares gigabytes: of a member, a long name, further facts, or a file with holes."""
    member = tarfile.TarInfo("train/cat/a.png")
    member.size, member.type = 1 << r.choice([31, 33, 40]), r.choice([b"0", b"L", b"x", b"g", b"S"])
    return member.tobuf(tarfile.GNU_FORMAT)


def cifar(r: Random) -> None:
    record = bytes([3]) + bytes(3072)
    files = {f"c/{name}": record for name in (*cifar_binary.TRAIN, *cifar_binary.TEST)} | {"../../evil": b"x"}
    content = r.choice([damaged(r, record), tar(r, "w", files), tar(r, "w:gz", files), huge_header(r)])
    if r.random() < 0.3:
        content = damaged(r, content)
    if content[:1] == b"\x03":
        cifar_binary.parse_batch(content, "x")
    cifar_binary.read_archive(content, Path("x"))


def picture(form: str, size: tuple[int, int] = (32, 32)) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size).save(stream, form)
    return stream.getvalue()


def png(width: int, height: int) -> bytes:
    """A small file that declares a picture of any size."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
    )


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 32\n(executed) (w) file\n%%EOF\n"


def image(r: Random) -> None:
    good = picture(r.choice(["PNG", "JPEG", "GIF", "BMP", "TIFF"]))
    content = r.choice(
        [damaged(r, good), damaged(r, good), png(20_000, 20_000), png(2**31 - 1, 32), png(12_000, 9_000), EPS]
    )
    images.decode_images(iter([("train/cat/a.png", content)]), ("cat",), (32, 32), Path("x"))


def image_archive(r: Random) -> None:
    names = ["train/cat/a.png", "test/cat/b.jpg", "../train/cat/c.png", "/train/cat/d.png", "train/cat/\x1b[2J.png"]
    content = r.choice(
        [tar(r, "w", {name: picture("PNG") for name in names}), huge_header(r), huge_header(r) + bytes(9_000_000)]
    )
    suffix = r.choice(["", ".xz"])
    if suffix:
        content = lzma.compress(content, preset=0)
        if r.random() < 0.5:
            content = damaged(r, content)
        elif r.random() < 0.2:  # says that unpacking it takes 4 GiB
            block = bytes([*content[12:16], 40, 0, 0, 0])
            content = content[:12] + block + struct.pack("<I", zlib.crc32(block)) + content[24:]
    path = write("a.tar" + suffix, content)
    images.decode_images(images.in_archive(path), ("cat",), (32, 32), path)


def npz(r: Random) -> None:
    stream = io.BytesIO()
    arrays = {f"{part}_{what}": np.zeros((2, 3, 4, 4)[: 4 if what == "images" else 1], np.uint8)
              for part in ("train", "test") for what in ("images", "labels")}  # fmt: skip
    if r.random() < 0.2:
        arrays["train_images"] = np.array([Planted()], dtype=object)
    r.choice([np.savez, np.savez_compressed])(stream, **arrays)
    content = stream.getvalue()
    if r.random() < 0.3:  # a header that declares more than there is
        content = content.replace(b"(2, 3, 4, 4)", r.choice([b"(9, 9999999)", b"(-1, 3, 4,4)", b"(2, 3, 4, 9)"]))
    read_cache(write("decoded.npz", damaged(r, content) if r.random() < 0.6 else content))
