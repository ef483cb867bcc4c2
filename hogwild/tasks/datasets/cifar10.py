"""CIFAR-10: the binary version, or the same 60,000 images as a folder or a tar archive of image files."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path

import numpy as np
import torch

from hogwild.errors import DataError
from hogwild.tasks.augment import crop_and_flip
from hogwild.tasks.catalog import CIFAR10_IMAGE_ARCHIVES, Source
from hogwild.tasks.content import read, read_bytes
from hogwild.tasks.data import Data
from hogwild.tasks.decoded_cache import Parts, cached
from hogwild.tasks.readers import cifar_binary, images
from hogwild.tasks.splits import ImageSplit
from hogwild.text import say

LABELS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
ARCHIVE_LIMIT_BYTES = 400 << 20  # 60,000 image files of 3 to 6 KB in a tar archive
PER_CLASS = {"train": 5_000, "test": 1_000}
_MEAN = (0.4914, 0.4822, 0.4465)
_STD = (0.2470, 0.2435, 0.2616)
_NOTE = "read from image files: JPEG pixels are not the canonical CIFAR-10 pixels"


def load(source: Source, folder: Path) -> Data:
    """50,000 training and 10,000 test images [3, 32, 32]; training batches are cropped and flipped at random."""
    parts, note = _read(source, folder)
    splits = []
    for part, augment in (("train", crop_and_flip), ("test", None)):
        pixels, labels = parts[part]
        targets = torch.from_numpy(labels.astype(np.int64))
        splits.append(ImageSplit(torch.from_numpy(pixels), targets, mean=_MEAN, std=_STD, augment=augment))
    train, test = splits
    return Data(source.name, train, test, input_shape=(3, 32, 32), classes=10, kind="image", labels=LABELS, note=note)


def _read(source: Source, folder: Path) -> tuple[Parts, str]:
    """(the arrays, a caveat), from the first form of the data set that `folder` contains."""
    file = source.files[0]
    if (folder / file.name).is_file():
        content, path = read(folder, file)
        return _complete(cifar_binary.read_archive(content, path), path), ""
    if (folder / "cifar-10-batches-bin").is_dir():
        return _complete(cifar_binary.read_folder(folder / "cifar-10-batches-bin"), folder), ""
    if (folder / cifar_binary.TEST[0]).is_file():
        return _complete(cifar_binary.read_folder(folder), folder), ""
    if (folder / "train").is_dir():
        key = _digest_of_listing(folder)
        return cached(source.name, key, partial(_decode, images.in_folder(folder), folder)), _NOTE
    path = next(folder / name for name in CIFAR10_IMAGE_ARCHIVES if (folder / name).is_file())
    key = hashlib.md5(read_bytes(path, ARCHIVE_LIMIT_BYTES), usedforsecurity=False).hexdigest()
    return cached(source.name, key, partial(_decode, images.in_archive(path), path)), _NOTE


def _decode(files: images.Files, where: Path) -> Parts:
    say(f"decoding the images in {where} (once; the result is cached)", to_stderr=True)
    return _complete(images.decode_images(files, LABELS, (32, 32), where), where)


def _complete(parts: Parts, where: Path) -> Parts:
    """`parts`. Raises DataError unless every class has the expected number of images."""
    for part, (_, labels) in parts.items():
        counts = np.bincount(labels, minlength=10)
        worst = int(np.abs(counts - PER_CLASS[part]).argmax())
        if counts[worst] != PER_CLASS[part]:
            raise DataError(
                f"{where}: {len(labels):,} {part} images, expected {10 * PER_CLASS[part]:,} "
                f"({LABELS[worst]}: {counts[worst]:,} of {PER_CLASS[part]:,}). The copy is incomplete or altered."
            )
    return parts


def _digest_of_listing(folder: Path) -> str:
    """A key for the cache, which changes whenever an image is added, removed or rewritten."""
    listing = hashlib.md5(str(folder.resolve()).encode(), usedforsecurity=False)
    for path in sorted(folder.glob("*/*/*")):
        facts = path.stat()
        listing.update(f"{path.relative_to(folder)} {facts.st_size} {facts.st_mtime_ns}\n".encode())
    return listing.hexdigest()
