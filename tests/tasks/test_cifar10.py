"""CIFAR-10 in its forms: binary records, image folder, image archive; never a pickle."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import sys
import tarfile

import numpy as np
import pytest

from hogwild import tasks
from hogwild.errors import DataError
from hogwild.tasks.catalog import SOURCES
from hogwild.tasks.datasets import cifar10
from hogwild.tasks.readers import cifar_binary, images

RECORDS = 20  # records per file, two of each class


def pixels(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (RECORDS, 3, 32, 32), dtype=np.uint8)


def batch(seed: int) -> bytes:
    labels = np.arange(RECORDS, dtype=np.uint8) % 10
    return b"".join(bytes([label]) + image.tobytes() for label, image in zip(labels, pixels(seed), strict=True))


BINARY = {name: batch(seed) for seed, name in enumerate((*cifar_binary.TRAIN, *cifar_binary.TEST))}


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setattr(cifar10, "PER_CLASS", {"train": 10, "test": 2})


@pytest.fixture
def jpegs(make):
    """12 images per class, 10 for training: one colour each, so that JPEG keeps them."""
    members = {}
    for number, label in enumerate(cifar10.LABELS):
        for i in range(12):
            image = np.full((32, 32, 3), 20 * number + i, np.uint8)
            part = "train" if i < 10 else "test"
            form = "jpeg" if i % 2 else "png"
            members[f"{part}/{label}/{i:04d}.{form}"] = make.image(image, form)
    return members


def assert_is_the_binary_data(data):
    assert (len(data.train), len(data.test), data.note) == (100, 20, "")
    assert np.array_equal(data.train.images[RECORDS : 2 * RECORDS].numpy(), pixels(1))
    assert np.array_equal(data.test.images.numpy(), pixels(5))
    assert data.test.targets.tolist() == [*range(10), *range(10)]


@pytest.mark.parametrize("inner", ["", "cifar-10-batches-bin"])
def test_binary_folder(tmp_path, inner):
    (tmp_path / inner).mkdir(exist_ok=True)
    for name, content in BINARY.items():
        (tmp_path / inner / name).write_bytes(content)
    assert_is_the_binary_data(tasks.load("cifar10", tmp_path))


def test_binary_archive(tmp_path, make, monkeypatch):
    content = make.tar({f"cifar-10-batches-bin/{name}": part for name, part in BINARY.items()})
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(content)
    source = SOURCES["cifar10"]
    with pytest.raises(DataError, match=r"cifar-10-binary.tar.gz: [\d,]+ bytes of content, expected 170,052,171"):
        tasks.load("cifar10", tmp_path)
    file = dataclasses.replace(source.files[0], size=len(content), md5=hashlib.md5(content).hexdigest())
    monkeypatch.setitem(SOURCES, "cifar10", dataclasses.replace(source, files=(file,)))
    assert_is_the_binary_data(tasks.load("cifar10", tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["cifar-10-binary.tar.gz"]  # nothing was unpacked


def test_binary_archive_that_lacks_a_member_or_is_not_an_archive(make, tmp_path):
    with pytest.raises(DataError, match=r"holds no data_batch_2\.bin, data_batch_3\.bin"):
        cifar_binary.read_archive(make.tar({"x/data_batch_1.bin": batch(0)}), tmp_path)
    with pytest.raises(DataError, match="not a whole tar archive"):
        cifar_binary.read_archive(b"no archive" * 100, tmp_path)


def test_binary_file_with_half_a_record_or_a_wrong_label(tmp_path):
    with pytest.raises(DataError, match=r"x: 61,459 bytes, not a multiple of 3,073"):
        cifar_binary.parse_batch(batch(0)[:-1], "x")
    with pytest.raises(DataError, match=r"x: record 20 has label 10, expected 0\.\.9"):
        cifar_binary.parse_batch(batch(0) + bytes([10]) + bytes(3072), "x")
    (tmp_path / "cifar-10-batches-bin").mkdir()
    with pytest.raises(DataError, match=r"cannot read .*data_batch_1\.bin: No such file"):
        tasks.load("cifar10", tmp_path)


def test_pickles_are_refused(tmp_path):
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(b"anything")
    with pytest.raises(DataError, match=r"cifar-10-python.tar.gz is not read: it is a Python pickle.*cifar-10-binary"):
        tasks.load("cifar10", tmp_path)


def assert_is_the_jpeg_data(data):
    assert (len(data.train), len(data.test)) == (100, 20)
    assert "JPEG" in data.note
    assert data.train.targets.tolist() == [label for label in range(10) for _ in range(10)]
    expected = [20 * number + i for number in range(10) for i in range(10)]
    assert np.abs(data.train.images[:, 0, 5, 5].numpy() - np.array(expected)).max() <= 1


def test_image_folder_is_decoded_once(tmp_path, jpegs, monkeypatch):
    for name, content in jpegs.items():
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (tmp_path / "data" / "train" / "cat" / "notes.txt").write_text("not an image")
    assert_is_the_jpeg_data(tasks.load("cifar10", tmp_path / "data"))
    monkeypatch.setattr(images, "decode_images", None)
    assert_is_the_jpeg_data(tasks.load("cifar10", tmp_path / "data"))


@pytest.mark.parametrize(("name", "mode"), [("cifar10_jpeg.tar.xz", "w:xz"), ("cifar10_images.tar", "w")])
def test_image_archive(tmp_path, make, jpegs, name, mode):
    folder = tmp_path / "cifar10_jpeg"
    folder.mkdir()
    (folder / name).write_bytes(make.tar({f"./top/{member}": content for member, content in jpegs.items()}, mode))
    assert_is_the_jpeg_data(tasks.load("cifar10", tmp_path))
    cache = next((tmp_path / "cache").rglob("decoded-*.npz"))
    cache.write_bytes(cache.read_bytes()[:100])  # a damaged cache is replaced
    assert_is_the_jpeg_data(tasks.load("cifar10", tmp_path))
    assert cache.stat().st_size > 100
    assert [path.name for path in folder.iterdir()] == [name]


@pytest.mark.parametrize(
    ("name", "mode", "kept"),
    [("cifar10_jpeg.tar.xz", "w:xz", kept) for kept in (0.01, 0.2, 0.5, 0.97, 0.999)]
    + [("cifar10_images.tar", "w", kept) for kept in (0.01, 0.2, 0.5, 0.9)],
)
def test_truncated_image_archive(tmp_path, make, jpegs, name, mode, kept):
    content = make.tar(jpegs, mode)
    (tmp_path / name).write_bytes(content[: int(kept * len(content))])
    with pytest.raises(DataError, match=name):
        tasks.load("cifar10", tmp_path)
    assert not list((tmp_path / "cache").rglob("*.npz"))


def test_cache_that_cannot_be_written_is_no_error(tmp_path, make, jpegs, monkeypatch, capsys):
    (tmp_path / "blocked").write_text("a file where the cache should be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "blocked"))
    (tmp_path / "cifar10_images.tar").write_bytes(make.tar(jpegs, "w"))
    assert_is_the_jpeg_data(tasks.load("cifar10", tmp_path))
    assert "not cached" in capsys.readouterr().err


def test_incomplete_copy(tmp_path, make, jpegs):
    del jpegs["train/frog/0003.jpeg"]
    (tmp_path / "cifar10_images.tar").write_bytes(make.tar(jpegs, "w"))
    with pytest.raises(DataError, match=r"99 train images, expected 100 \(frog: 9 of 10\)"):
        tasks.load("cifar10", tmp_path)


def test_bad_members(tmp_path, make):
    def load(name, content):
        (tmp_path / "cifar10_images.tar").write_bytes(make.tar({name: content}, "w"))
        return tasks.load("cifar10", tmp_path)

    with pytest.raises(DataError, match=r"unknown class 'fish'; known: airplane, "):
        load("train/fish/0.png", b"")
    with pytest.raises(DataError, match=r"train/cat/0.png is not a readable image \(5 bytes"):
        load("train/cat/0.png", b"empty")
    with pytest.raises(DataError, match=r"train/cat/0\.png is 16x8, expected 32x32"):
        load("train/cat/0.png", make.image(np.ones((8, 16, 3), np.uint8)))
    with pytest.raises(DataError, match="has 2,000,000 bytes, more than 1,048,576"):
        load("train/cat/0.png", bytes(2_000_000))
    with pytest.raises(DataError, match="no images below train"):
        load("elsewhere/cat/0.png", b"")


def test_links_in_an_archive_are_not_followed(tmp_path):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        link = tarfile.TarInfo("train/cat/0.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        archive.addfile(link)
    (tmp_path / "cifar10_images.tar").write_bytes(out.getvalue())
    with pytest.raises(DataError, match="no images below train"):
        tasks.load("cifar10", tmp_path)


def test_without_pillow(tmp_path, make, jpegs, monkeypatch):
    (tmp_path / "cifar10_images.tar").write_bytes(make.tar(jpegs, "w"))
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(DataError, match=r"pip install 'hogwild\[images\]'"):
        tasks.load("cifar10", tmp_path)
