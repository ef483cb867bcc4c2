"""The page and the trace of a run of several boxes: its boxes on one clock, with what they exchanged."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from test_report_pages import body
from test_timelines import GRADIENT, UPDATE, recorded
from trace_format import checked
from written_runs import CURVE, make, train

from hogwild.cli import report, trace
from hogwild.report import boxes, runs
from hogwild.report.record import Record, records

LATER = 2.5  # seconds after box 0 that box 1 began


def between(time: float, exchanges: int, lag: float, **more: object) -> dict[str, object]:
    counts = {"exchanges": exchanges, "exchanges_refused": 1, "exchanges_late": 0, "exchanges_nonfinite": 0}
    facts = {"links_lost": 0, "overlap": 3, "bytes_sent": 2_000_000, "bytes_received": 1_000_000, "boxes": 2}
    means = {"lag": {"mean": lag, "max": 9}, "exchange_s": {"mean": 0.25, "p95": 0.5}}
    return {"kind": "between", "time": time, **counts, **facts, **means, **more}


def box(number: int, folder: Path, *, began: float, name: str = "") -> Path:
    opening = {"kind": "run", "time": 0.0, "event": "started", "schema": 2, "clock": "wall", "unix": began}
    lines = [between(1.0, 4, 2.0), between(2.0, 10, 5.0), between(3.0, 10, 5.0)]
    fault = {
        "kind": "fault",
        "time": 2.0,
        "reason": "link_lost",
        "message": "the link is cut",
        "worker": None,
        "box": 1,
    }
    path = make(
        folder / (name or f"box{number}"), [opening, *CURVE, train(40 + number, 0.1), *lines, fault],
        {"boxes_share": [40, 41], "updates": 81} if number == 0 else {"updates": 41},
        between="ad-psgd",
    )  # fmt: skip
    recorded(path, {rank: [(0.0, GRADIENT, 0), (3.0, UPDATE, 0), (4.0, 6, 1)] for rank in range(2)})
    return path


@pytest.fixture
def two(tmp_path: Path) -> Path:
    for number in range(2):
        box(number, tmp_path / "two", began=1e9 + LATER * number)
    return tmp_path / "two"


def test_the_page_shows_the_boxes_of_a_run(two: Path):
    page = runs.write(records([two]))
    body(page)
    assert "<h1>two: 2 boxes</h1>" in page
    table = re.search(r"<caption>Boxes, by the last line of each</caption>.*?</table>", page)[0]
    rows = [re.findall(r"<t[hd][^>]*>([^<]*)<", row) for row in table.split("<tr>")[1:]]
    assert rows[1] == ["box0", "done", "40", "10", "1", "0", "0", "0", "3", "5", "9", "0.25", "2", "1"]
    assert rows[2][:4] == ["box1", "done", "41", "10"]
    assert rows[3][:3] == ["all", "", "81"]
    for caption in ("Exchanges between boxes", "Lag at exchanges", "Boxes that could be reached"):
        assert f"<figcaption>{caption}</figcaption>" in page
    assert "By every box at all times: 2, itself included." in page
    assert page.count("<figcaption>Timeline") == 1


def test_the_lag_is_that_of_the_exchanges_since_the_last_line(two: Path):
    page = runs.write(records([two]))
    assert "box0: 7 at 2" in page  # (10 * 5 - 4 * 2) / 6
    assert "box1: 7 at 4.5" in page


def test_workers_of_all_boxes_stand_on_one_clock(two: Path):
    """Gradients of 3 s of the two boxes, in 6.5 s: those of box 1 begin 2.5 s later."""
    page = "".join(boxes.timeline(records([two])))
    assert [re.sub(r"h.*", "", path) for path in re.findall(r'<path d="M([^"]*)" class="s0"', page)] == [
        "0 50", "0 150", "384.62 250", "384.62 350",
    ]  # fmt: skip
    assert re.findall(r">(box\d, \d)</text>", page) == ["box0, 0", "box0, 1", "box1, 0", "box1, 1"]
    assert page.count("the link is cut") == 2
    assert page.count('class="rule"') == 2, "a fault of no worker is a line through all rows"


def test_restarted_boxes_come_behind_in_the_order_of_their_numbers(two: Path):
    for number, name in ((10, ""), (2, ""), (1, "box1~2")):
        box(number, two, began=1e9, name=name)
    found = records([two])
    assert [run.name for run in found] == ["box0", "box1", "box1~2", "box2", "box10"]
    assert boxes.title(found) == "two: 4 boxes"


def test_seven_boxes_are_no_comparison(two: Path, tmp_path: Path):
    for number in range(2, 7):
        box(number, two, began=1e9)
    assert report.main([str(two), "-o", str(tmp_path / "page.html")]) == 0
    assert "<h1>two: 7 boxes</h1>" in (tmp_path / "page.html").read_text()
    assert not boxes.are_boxes([Record.open(make(tmp_path / "box0"))]), "a run that has only such a name"


def test_a_trace_has_a_process_for_each_box(two: Path, tmp_path: Path):
    out = tmp_path / "trace.json"
    assert trace.main([str(two), "-o", str(out)]) == 0
    events = checked(out.read_text())
    gradients = [(e["pid"], e["tid"], e["ts"]) for e in events if e["ph"] == "X" and e["name"] == "gradient"]
    assert gradients == [(0, 0, 0), (0, 1, 0), (1, 0, 2.5e6), (1, 1, 2.5e6)]
    assert [e["args"]["name"] for e in events if e["name"] == "process_name"] == ["box0", "box1"]
