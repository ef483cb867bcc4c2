"""The benchmark of boxes: its page says what was measured, and its quick form runs."""

from __future__ import annotations

import pytest

from bench.boxes import training
from bench.boxes.__main__ import main
from bench.boxes.page import DDP, ONE, SLOW, TWO, page


def run(accuracy: float, samples_per_s: float, *rates: float | None, reached: float = 9.0) -> dict:
    course = [(1.0, 0.1), (reached, 0.9)]
    return {"accuracy": accuracy, "samples_per_s": samples_per_s, "rates": rates, "course": course, "exchanges": 7}


def test_the_page_compares_with_the_targets():
    cost = {"parameters": 1, "iteration_s": 5e-3, "more": {"f32": [0.05, 0.1, 0.2], "int8": [-0.01, 0.02, 0.03]},
            "exchanges_per_s": {"f32": 100.0, "int8": 60.0}, "exchange_cpu_s": {"f32": 8e-3, "int8": 4e-3}}  # fmt: skip
    runs = {
        ONE: [run(0.9, 1000.0, 30.0), run(0.88, 1000.0, 30.0)], TWO: [run(0.889, 970.0, 15.0, 15.0)] * 2,
        SLOW: [run(0.88, 500.0, 14.7, None)], DDP: [{"course": [(30.0, 0.2), (36.0, 0.85)], "samples_per_s": 100.0}],
    }  # fmt: skip
    here = {"cpu": "a", "cores": 2, "torch": "2", "date": "2026-11-30T00:00:00", "load": 0.5}
    text = page({"machine": here, "overhead": {"1.3 M": cost}, "runs": runs}, "--data x", (9, 5), 0.84)
    assert "| 1.3 M | none | 5.00 | | | |" in text
    assert "| 1.3 M | f32 | | +10.0% (+5.0% to +20.0%) | 100.0 | 8.0 |" in text
    assert "| one box | 0.8900 (0.9000, 0.8800) | 1000 |" in text
    assert "| two boxes, one slow | 0.8800 (0.8800) | 500 | 15, - | 7 |" in text
    assert "at most 10% | +10.0% |" in text
    assert "at most 0.005 | +0.0010 |" in text
    assert text.count("at least 0.95 | 0.97 |") == 1
    assert text.count("at least 0.95 | 0.98 |") == 1
    assert "at least 3 | 4.0 |" in text


def test_the_time_to_an_accuracy_is_that_of_its_first_sight():
    assert training.time_to([(1.0, 0.5), (2.0, 0.8), (3.0, 0.7)], 0.7) == 2.0
    assert training.time_to([(1.0, 0.5)], 0.7) is None


@pytest.mark.slow
def test_the_quick_form_runs(tmp_path, capsys):
    main(["--quick", "--out", str(tmp_path / "boxes.md")])
    text = (tmp_path / "boxes.md").read_text()
    assert text.strip() == capsys.readouterr().out.strip()
    for line in ("| 20 K | int8 |", "| one box | 0.", "| two boxes | 0.", f"| {SLOW} | 0.", f"| {DDP} | "):
        assert line in text
