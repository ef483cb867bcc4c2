"""IDX files, gzip, checksums: a tiny MNIST, whole and damaged."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np
import pytest

from hogwild import tasks
from hogwild.errors import DataError
from hogwild.tasks.catalog import SOURCES
from hogwild.tasks.readers.idx import parse_idx

IMAGES = np.random.default_rng(0).integers(0, 256, (7, 28, 28))
LABELS = np.arange(7) % 10


@pytest.fixture
def folder(make, tmp_path, monkeypatch):
    """mnist with 7 + 7 images in tmp_path/mnist; the catalogue expects exactly these."""
    contents = [make.idx(IMAGES), make.idx(LABELS), make.idx(255 - IMAGES), make.idx(LABELS)]
    files = []
    (tmp_path / "mnist").mkdir()
    for file, content in zip(SOURCES["mnist"].files, contents, strict=True):
        (tmp_path / "mnist" / file.name).write_bytes(make.gz(content))
        files.append(dataclasses.replace(file, size=len(content), md5=hashlib.md5(content).hexdigest()))
    monkeypatch.setitem(SOURCES, "mnist", dataclasses.replace(SOURCES["mnist"], files=tuple(files)))
    return tmp_path / "mnist"


def load(folder):
    return tasks.load("mnist", folder, download=False)


def test_whole_files(folder):
    data = load(folder)
    assert np.array_equal(data.train.images.numpy()[:, 0], IMAGES)
    assert np.array_equal(data.test.images.numpy()[:, 0], 255 - IMAGES)
    assert data.train.targets.tolist() == LABELS.tolist()


def test_repacked_and_unpacked_files_are_accepted(folder, make):
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(make.gz(make.idx(IMAGES)) + b"")
    (folder / "train-labels-idx1-ubyte").write_bytes(make.idx(LABELS))
    (folder / "train-labels-idx1-ubyte.gz").unlink()
    assert len(load(folder).train) == 7


def test_the_parent_folder_is_searched_too(folder):
    assert len(load(folder.parent).train) == 7


def test_truncated_gzip(folder):
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-900])
    with pytest.raises(
        DataError, match=r"train-images-idx3-ubyte.gz: gzip data ends early \(at [\d,]+ of 5,504 unpacked"
    ):
        load(folder)


def test_no_gzip_at_all(folder):
    (folder / "train-images-idx3-ubyte.gz").write_bytes(b"<html>404</html>")
    with pytest.raises(DataError, match=r"not valid gzip data \(16 bytes; .*Delete it and get it again from https://"):
        load(folder)


def test_unpacks_to_too_much(folder, make):
    (folder / "t10k-images-idx3-ubyte.gz").write_bytes(make.gz(make.idx(IMAGES) + b"\0" * 10_000_000))
    with pytest.raises(DataError, match="unpacks to more than the expected 5,504 bytes"):
        load(folder)


def test_too_short(folder, make):
    (folder / "t10k-images-idx3-ubyte.gz").write_bytes(make.gz(make.idx(IMAGES[:6])))
    with pytest.raises(DataError, match="4,720 bytes of content, expected 5,504"):
        load(folder)


def test_one_wrong_byte(folder, make):
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(make.gz(make.idx(LABELS[::-1])))
    with pytest.raises(
        DataError, match=r"t10k-labels-idx1-ubyte.gz: md5 of the content is [0-9a-f]{32}, expected [0-9a-f]{32}\."
    ):
        load(folder)


def test_missing_file_message_has_folders_and_urls(folder, monkeypatch):
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError) as error:
        load(folder)
    text = str(error.value)
    assert "\n" not in text
    assert "mnist: t10k-labels-idx1-ubyte.gz not found (looked in " in text
    assert f"Put the 4 file(s) into {folder} or set HOGWILD_DATA; sources: https://" in text
    assert "HOGWILD_OFFLINE is set" in text
    assert error.value.exit_code == 5
    monkeypatch.delenv("HOGWILD_OFFLINE")
    with pytest.raises(DataError, match="downloads are switched off"):
        load(folder)


def test_folder_in_the_place_of_a_file(folder):
    path = folder / "train-images-idx3-ubyte.gz"
    path.unlink()
    path.mkdir()
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz not found"):
        load(folder)


def test_wrong_magic(make, tmp_path):
    with pytest.raises(DataError, match="starts with 0x00000801, an idx3 file of bytes with 0x00000803"):
        parse_idx(make.idx(LABELS), 3, tmp_path)
    with pytest.raises(DataError, match="starts with 0x00000000"):
        parse_idx(b"", 1, tmp_path)


def test_header_and_length_disagree(make, tmp_path):
    with pytest.raises(DataError, match="5,487 bytes after a header that says 7x28x28 = 5,488"):
        parse_idx(make.idx(IMAGES)[:-1], 3, tmp_path)


def test_check_reports_each_file(folder, make):
    assert [ok for _, ok, _ in tasks.check("mnist", folder)] == [True] * 5
    assert "7 training and 7 test samples, 1x28x28, 10 classes" in tasks.check("mnist", folder)[-1][2]
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(make.gz(make.idx(LABELS[::-1])))
    results = tasks.check("mnist", folder)
    assert [ok for _, ok, _ in results] == [True, False, True, True]
    assert "md5" in results[1][2]
    (folder / "train-labels-idx1-ubyte.gz").unlink()
    assert [(name, ok) for name, ok, _ in tasks.check("mnist", folder)] == [("mnist", False)]
    assert str(folder) not in tasks.describe("mnist", folder)


def test_describe_names_the_folder(folder):
    text = tasks.describe("mnist", folder)
    assert f"found in: {folder}" in text
    assert "train-images-idx3-ubyte.gz unpacked: 5,504 bytes, md5 " in text


def test_as_many_labels_as_images(folder, make, monkeypatch):
    files = list(SOURCES["mnist"].files)
    files[1] = dataclasses.replace(files[1], size=None, md5=None)
    monkeypatch.setitem(SOURCES, "mnist", dataclasses.replace(SOURCES["mnist"], files=tuple(files)))
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(make.gz(make.idx(LABELS[:5])))
    with pytest.raises(DataError, match=r"5 labels in 0\.\.4 for 7 images of 10 classes"):
        load(folder)
