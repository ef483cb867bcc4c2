"""Folders and tar archives of images: train/<class>/<name>.png|jpg and test/<class>/..., decoded with Pillow."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hogwild.errors import DataError
from hogwild.files.reading import reading
from hogwild.tasks.content import read_bytes
from hogwild.tasks.readers.archive import MEMBERS_LIMIT, members

Bytes = npt.NDArray[np.uint8]
Files = Iterator[tuple[str, bytes]]

IMAGE_LIMIT_BYTES = 1 << 20  # a larger member is not a small image, and is refused
FORMATS = ("PNG", "JPEG")  # Pillow knows dozens, and starts other programs for some
_NAME = re.compile(r"(?:^|/)(train|test)/([^/]+)/([^/]+\.(?:png|jpe?g))$", re.IGNORECASE)


def in_folder(folder: Path) -> Files:
    """(path inside `folder`, bytes) of every image below train/ and test/."""
    for part in ("train", "test"):
        for path in sorted((folder / part).glob("*/*")):
            if _NAME.search(path.relative_to(folder).as_posix()):
                yield path.relative_to(folder).as_posix(), read_bytes(path, IMAGE_LIMIT_BYTES)


def in_archive(path: Path) -> Files:
    """(member name, bytes) of every image in the tar or tar.xz archive; nothing is written to disk."""
    with reading(path, "a tar archive"), path.open("rb") as stored:
        for name, content in members(stored, path, IMAGE_LIMIT_BYTES):
            if _NAME.search(name):
                yield name, content


def decode_images(
    files: Files, classes: tuple[str, ...], size: tuple[int, int], where: Path
) -> dict[str, tuple[Bytes, Bytes]]:
    """{"train": (images [n, 3, height, width], labels [n]), "test": ...}, ordered by class, then by name.

    Errors: DataError (unknown class, size other than `size` (width, height), bytes that are no image, no Pillow).
    """
    number = {name: i for i, name in enumerate(classes)}
    found: dict[str, list[tuple[int, str, Bytes]]] = {"train": [], "test": []}
    for count, (name, content) in enumerate(files):
        if count == MEMBERS_LIMIT:
            raise DataError(f"{where}: more than {MEMBERS_LIMIT:,} images")
        match = _NAME.search(name)
        assert match is not None  # the iterators above yield nothing else
        part, label, file = match.groups()
        if label not in number:
            raise DataError(f"{where}: {name} is of unknown class {label!r}; known: {', '.join(classes)}")
        found[part.lower()].append((number[label], file, _decode(content, size, f"{where}: {name}")))
    parts: dict[str, tuple[Bytes, Bytes]] = {}
    for part, samples in found.items():
        if not samples:
            raise DataError(f"{where}: no images below {part}/<class>/")
        samples.sort(key=lambda sample: sample[:2])
        images = np.stack([image for _, _, image in samples]).transpose(0, 3, 1, 2)
        parts[part] = (np.ascontiguousarray(images), np.array([label for label, _, _ in samples], np.uint8))
    return parts


def _decode(content: bytes, size: tuple[int, int], where: str) -> Bytes:
    try:
        from PIL import Image
    except ImportError as error:
        raise DataError("image files need Pillow: pip install 'hogwild[images]', or use the binary version") from error
    with reading(where, f"a readable image ({len(content):,} bytes)"), warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.size != size:  # known before a pixel is decoded
                raise DataError(f"{where} is {image.size[0]}x{image.size[1]}, expected {size[0]}x{size[1]}")
            return np.asarray(image.convert("RGB"))
