"""The record of a benchmark has no raw rounds, but all numbers of its report."""

from __future__ import annotations

import json
from pathlib import Path

from bench.figures import Figures
from bench.report import tables
from bench.samples import Sample, compact, parse, text

RESULTS = Path(__file__).parents[2] / "bench" / "results"
RAW = {"a": [1.0, 4.0, 3.0], "b": [2.0, 2.0, 1.0], "lost": [0, 0, 2]}


def test_ratios_compare_figures_of_one_round():
    found = parse(compact({"per_s": RAW, "n": 3, "isa": ["avx2"]}))
    assert found["n"] == 3
    assert found["isa"] == ["avx2"]
    a = found["per_s"]["a"]
    assert a == Sample(median=3.0, min=1.0, max=4.0, iqr=1.5, rounds=3, over={"b": 2.0})  # 0.5, 2, 3; medians: 1.5
    assert found["per_s"]["b"].over == {"a": 0.5}
    assert found["per_s"]["lost"].max == 2


def test_of_many_contestants_the_first_is_compared():
    contestants = {name: {"kind": name, "seconds": figures} for name, figures in RAW.items() if name != "lost"}
    found = compact({"contestants": {**contestants, "c": {"kind": "c", "seconds": [1.0, 8.0, 3.0]}}})["contestants"]
    over = {name: entry["seconds"]["over"] for name, entry in found.items()}
    assert over == {"a": {"b": 2.0, "c": 1.0}, "b": {"a": 0.5}, "c": {"a": 1.0}}
    assert found["c"]["kind"] == "c"


def test_compacting_and_writing_change_nothing_twice():
    once = compact({"per_s": RAW, "contestants": {"a": {"seconds": [1 / 3]}}, "points": [RAW, []], "empty": {}})
    assert compact(once) == once
    assert json.loads(text(once)) == once
    assert text(once).count("\n") < json.dumps(once, indent=1).count("\n") / 3


def test_a_recorded_report_is_that_of_its_record():
    record = (RESULTS / "cpu-2-cores.json").read_text()
    content = json.loads(record)
    assert text(compact(content)) + "\n" == record
    report = (RESULTS / "cpu-2-cores.md").read_text().partition("\n![")[0]
    assert "\n".join(tables(Figures.of(content))) + "\n" == report
