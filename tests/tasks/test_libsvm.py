"""LIBSVM files with binary features."""

from __future__ import annotations

from pathlib import Path

import pytest

from hogwild import tasks
from hogwild.errors import DataError
from hogwild.tasks.catalog import SOURCES
from hogwild.tasks.readers.libsvm import parse_libsvm

GOOD = b"+1 3:1 11:1 123:1 \n-1 1:1\n1\n"


def test_lists_are_filled_up_with_zero():
    features, classes = parse_libsvm(GOOD, 123, Path("x"))
    assert features.tolist() == [[3, 11, 123], [1, 0, 0], [0, 0, 0]]
    assert classes.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"2 1:1", r"x:4: label '2' is not \+1 or -1"),
        (b"", r"x:4: label '' is not"),
        (b"+1 1:2", "x:4: '1:2' is not index:1"),
        (b"+1 1", "x:4: '1' is not index:1"),
        (b"+1 a:1", "x:4: 'a:1' is not index:1"),
        (b"+1 \xff:1", "x:4: .* is not index:1"),
        (b"+1 124:1", r"x:4: index 124 after 0, must ascend within 1\.\.123"),
        (b"+1 0:1", "x:4: index 0 after 0"),
        (b"+1 5:1 5:1", "x:4: index 5 after 5"),
    ],
)
def test_bad_line_is_named_by_its_number(line, message):
    with pytest.raises(DataError, match=message):
        parse_libsvm(GOOD + line + b"\n+1 1:1\n", 123, Path("x"))


def test_empty_file():
    with pytest.raises(DataError, match="x: is empty"):
        parse_libsvm(b"", 123, Path("x"))


def test_altered_copy_is_found_by_size_and_digest(tmp_path):
    source = SOURCES["a9a"]
    (tmp_path / "a9a").write_bytes(GOOD)
    (tmp_path / "a9a.t").write_bytes(GOOD + bytes(source.files[1].size - len(GOOD)))
    with pytest.raises(DataError, match=r"a9a: .* bytes of content, expected 2,327,314"):
        tasks.load("a9a", tmp_path)
    found = [message for _, ok, message in tasks.check("a9a", tmp_path) if not ok]
    assert len(found) == 2
    assert "sha256 of the content is" in found[1]
