from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from hogwild import delays
from hogwild.delays import parse
from hogwild.errors import UsageError


@pytest.fixture(autouse=True)
def _in_a_directory_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("spec", ["4", "const:4", " 4 ", "uniform:4:4", "normal:4:1e-3"])
def test_constant(spec):
    assert parse(spec) == {4: 1.0}


def test_uniform():
    assert parse("uniform:1:8") == {delay: 0.125 for delay in range(1, 9)}  # noqa: C420
    assert list(parse("uniform:0:2")) == [0, 1, 2]


def test_normal_is_the_discrete_gaussian_of_figure_8_normalised():
    law = parse("normal:8")
    assert law == parse("normal:8:1") == delays.normal(8)
    assert list(law) == list(range(1, 17))
    assert law[8] == pytest.approx(math.erf(0.5 / math.sqrt(2)), rel=1e-9)
    assert all(law[8 - j] == pytest.approx(law[8 + j], rel=1e-6) for j in range(1, 8))
    assert sum(parse("normal:1").values()) == pytest.approx(1.0)
    assert parse("normal:8:2.5")[1] > law[1]


def test_geometric_is_the_delay_of_workers_in_random_order():
    law = parse("geometric:8")
    assert law[0] == pytest.approx(1 / 8)
    assert law[5] == pytest.approx((1 / 8) * (7 / 8) ** 5)
    assert delays.mean(law) == pytest.approx(7.0, rel=1e-9)
    assert parse("geometric:1") == {0: 1.0}


@pytest.mark.parametrize("spec", ["7", "uniform:2:9", "normal:3:2", "geometric:5"])
def test_every_law_sums_to_one(spec):
    law = parse(spec)
    assert math.fsum(law.values()) == pytest.approx(1.0, abs=1e-12)
    assert list(law) == sorted(law)
    assert min(law.values()) > 0


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "delay,count\n0,10\n\n3,30\n"),
        ("a.csv", "3,30\n0,4\n0,6\n2,0\n"),
        ("a.json", '{"0": 1, "3": 3}'),
        ("a.json", "[1, 0, 0, 3]"),
        ("a.json", '{"updates": 40, "delay_histogram": [10, 0, 0, 30, 0]}'),
        ("a.jsonl", '{"delay_histogram": [1]}\n{"delay_histogram": {"0": 1, "3": 3}}\n{"kind": "eval"}\n'),
    ],
)
def test_histogram_files(name, text):
    Path(name).write_text(text)
    assert parse(f"hist:{name}") == {0: 0.25, 3: 0.75}


def test_the_newest_histogram_of_a_run_is_read():
    Path("run").mkdir()
    Path("run/metrics.jsonl").write_text('{"delay_histogram": [1, 3]}\n')
    assert parse("hist:run") == {0: 0.25, 1: 0.75}
    Path("run/summary.json").write_text(json.dumps({"updates": 4, "delay_histogram": [1, 1]}))
    assert parse("hist:run") == {0: 0.5, 1: 0.5}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("gauss:3", "delay 'gauss:3' is not known; it must be one of 4, const:4, uniform:1:8"),
        ("", "delay '' is not known"),
        ("4:5", "delay '4:5' is not known"),
        ("-1", "delay '-1': a delay is >= 0"),
        ("const:", "'' is not an integer"),
        ("const:1:2", "it must look like const:DELAY"),
        ("uniform:3", "it must look like uniform:SMALLEST:LARGEST"),
        ("uniform:3:1", "0 <= smallest <= largest is needed"),
        ("uniform:-3:1", "0 <= smallest <= largest is needed"),
        ("normal:1.5", "'1.5' is not an integer"),
        ("normal:0", "a center >= 1 and a deviation > 0 are needed"),
        ("normal:2:0", "a center >= 1 and a deviation > 0 are needed"),
        ("normal:2:nan", "a center >= 1 and a deviation > 0 are needed"),
        ("normal:2:wide", "could not convert string to float: 'wide'"),
        ("geometric:0", "at least 1 worker is needed"),
        ("hist:nowhere.csv", "there is no 'nowhere.csv'"),
    ],
)
def test_refusals(spec, message):
    with pytest.raises(UsageError) as error:
        parse(spec)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "", "a.csv is not a histogram of delays: it is empty"),
        ("a.csv", "1,2\nx,3\n", "'x' is not an integer"),
        ("a.csv", "1,2,3\n", "too many values"),
        ("a.csv", "1,-2\n", "the counts must be >= 0, and one of them > 0"),
        ("a.csv", "1,0\n", "the counts must be >= 0, and one of them > 0"),
        ("a.csv", "-1,2\n", "it has the negative delay -1"),
        ("a.json", "{", "a.json is not a histogram of delays: Expecting property name"),
        ("a.json", "3", "it must be {delay: count}, or a list of the counts of 0, 1, 2, ..."),
        ("a.json", '{"delay": {"mean": 3}}', "a.json holds no delay_histogram"),
        ("a.jsonl", '{"kind": "eval"}\n', "a.jsonl holds no delay_histogram"),
    ],
)
def test_files_without_a_histogram_are_refused(name, text, message):
    Path(name).write_text(text)
    with pytest.raises(UsageError) as error:
        parse(f"hist:{name}")
    assert message in str(error.value)


def test_files_that_cannot_be_read():
    Path("a.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match=r"a.csv is not a text file: byte 0 is no UTF-8 text"):
        parse("hist:a.csv")
    Path("b.csv").symlink_to("b.csv")
    with pytest.raises(UsageError, match=r"cannot read b.csv: Too many levels"):
        parse("hist:b.csv")
