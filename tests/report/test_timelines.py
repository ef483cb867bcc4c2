"""The timeline in a page and in a trace: what is drawn is what was recorded."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from test_report_pages import RUN_BYTES, body
from trace_format import checked
from written_runs import CURVE, make

from hogwild.cli.trace import main as trace
from hogwild.report import runs, tracks
from hogwild.report.record import Record, records
from hogwild.report.trace import trace as write_trace
from hogwild.runs.timeline import BLOCK, PART, PHASES, TimelineFile, Track, read

NAMES = ("data", "gradient", "update", "waiting", "sleep")
DATA, GRADIENT, UPDATE, WAITING, SLEEP = map(PHASES.index, NAMES)
OLD = sorted(path.parent for path in (Path(__file__).parents[1] / "fixtures/runs-0.1").glob("*/config.yaml"))


def recorded(path: Path, workers: dict[int, list[tuple[float, int, int]]]) -> None:
    """Writes worker -> (seconds, phase, delay) as the timeline of a run."""
    blocks = []
    for rank, changes in workers.items():
        records = [int(at * 1e9) << 12 | phase << 8 | delay for at, phase, delay in changes]
        blocks.append((rank, np.array(records, "<u8").tobytes(), 0))
    TimelineFile(path / "timeline.bin").append(blocks)


def track(count: int, worker: int = 0) -> Track:
    """Gradients of 3 s and updates of 1 s."""
    edges = np.cumsum([0, *([3.0, 1.0] * (count // 2))])
    phases = np.array([GRADIENT, UPDATE] * (count // 2))
    return Track(worker, edges[:-1], edges[1:], phases, np.zeros(count, int))


def fault(worker: int | None, time: float) -> dict[str, object]:
    return {"kind": "fault", "time": time, "reason": "died", "message": f"it died at {time}", "worker": worker}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    path = make(tmp_path / "a", [*CURVE, fault(1, 2.0), fault(None, 1.0)])
    recorded(path, {
        0: [(0, GRADIENT, 0), (2, UPDATE, 0), (3, DATA, 2), (3.5, 6, 2)],
        1: [(0, SLEEP, 0), (2, 0, 0), (3, WAITING, 0), (4, 6, 0)],
    })  # fmt: skip
    return path


def test_the_page_has_a_row_for_each_worker(run: Path):
    page = runs.write(records([run]))
    body(page)
    figure = page[page.index("<figcaption>Timeline") :]
    assert "<title>worker 0, gradient: 57.1 %</title>" in figure
    assert "<title>worker 1, waiting: 33.3 %</title>" in figure
    assert "<title>2 s: it died at 2.0</title>" in figure
    assert "<title>1 s: it died at 1.0</title>" in figure
    assert "A cross is a fault: 2 in all." in figure
    assert '<text x="50.00%" y="42" text-anchor="middle" class="mark"' in figure, "row 2, at half of the time"
    assert len(page) < RUN_BYTES


def test_workers_that_are_gone_take_no_part_in_later_parts(tmp_path: Path):
    """Else a file of 64 MB could stand for a million workers in a million parts."""
    path = tmp_path / "timeline.bin"
    for parts in range(3):
        TimelineFile(path).append([(parts, np.array([1 << 12, 2 << 12], "<u8").tobytes(), 0)])
    with path.open("ab") as file:
        file.write(BLOCK.pack(PART, 0, 0) * 4)
    assert [len(track.begins) for track in read(path)] == [2, 2, 2], "one gap each"


def test_bars_lie_where_their_intervals_do():
    drawing = tracks.draw([track(4), track(2, 1)], [], "seconds")
    paths = re.findall(r'<path d="([^"]*)" class="s(\d)"', drawing.inside)
    assert paths == [
        ("M0 50h375M500 50h375", "0"), ("M375 50h125M875 50h125", "1"), ("M0 150h375", "0"), ("M375 150h125", "1"),
    ]  # fmt: skip


def test_many_intervals_become_shares_in_columns():
    """A page does not grow with the length of a run, and the shares are right."""
    long, longer = (tracks.draw([track(count, rank) for rank in range(8)], [], "s") for count in (3_000, 30_000))
    assert len(longer.inside) < len(long.inside) + 100 < RUN_BYTES / 2
    gradient, update = re.findall(r'<path d="M0 (\d+)(V[^z]*)z" class="f', tracks.draw([track(4000)], [], "s").inside)
    assert gradient[0] == "90"
    assert set(re.findall(r"V(\d+)", gradient[1])) <= {"28", "29", "30", "31", "32", "90"}, "3 / 4 of a row of 80"
    assert set(re.findall(r"V(\d+)", update[1])) <= {"10", "28", "29", "30", "31", "32"}


@pytest.mark.parametrize("path", OLD, ids=lambda path: path.name)
def test_runs_of_version_0_1_are_read(path: Path):
    page = runs.write(records([path]))
    body(page)
    assert "<figcaption>Timeline" not in page
    assert "Closing lines of the workers" in page


def test_a_trace_has_slices_faults_and_counters(run: Path, tmp_path: Path):
    out = tmp_path / "trace.json"
    assert trace([str(run), "-o", str(out)]) == 0
    events = checked(out.read_text())
    slices = [(e["tid"], e["name"], e["ts"], e["dur"], e.get("args")) for e in events if e["ph"] == "X"]
    assert slices == [
        (0, "gradient", 0, 2e6, None), (0, "update", 2e6, 1e6, {"delay": 2}), (0, "data", 3e6, 0.5e6, None),
        (1, "sleep", 0, 2e6, None), (1, "waiting", 3e6, 1e6, None),
    ]  # fmt: skip
    assert [(e["tid"], e["ts"]) for e in events if e["ph"] == "i"] == [(1, 2e6), (2, 1e6)]
    assert sum(e["ph"] == "C" and e["name"] == "train_loss" for e in events) == 29
    arrows = [(e["ph"], e["id"], e["tid"], e["ts"], e.get("args")) for e in events if e["ph"] in "sf"]
    assert arrows == [("s", 1, 0, 0, None), ("f", 1, 0, 2e6, {"delay": 2})]
    assert trace([str(run), "-o", str(tmp_path / "x.csv")]) == 0
    with (tmp_path / "x.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["worker"], row["phase"], float(row["end_s"]), row["delay"]) for row in rows[:2]] == [
        ("0", "gradient", 2.0, ""), ("0", "update", 3.0, "2"),
    ]  # fmt: skip


def test_arrows_lead_from_what_a_worker_read_to_its_push(run: Path):
    """It reads at the end of an update, or behind a barrier that no gradient precedes."""
    changes = [
        (0, GRADIENT, 0), (1, WAITING, 0), (2, UPDATE, 0), (3, DATA, 5), (4, GRADIENT, 5), (5, UPDATE, 5),
        (6, WAITING, 7), (7, DATA, 7), (8, GRADIENT, 7), (9, UPDATE, 7), (10, WAITING, 9), (11, UPDATE, 9),
        (12, 6, 9), (13, GRADIENT, 9),
    ]  # fmt: skip
    (run / "timeline.bin").unlink()
    recorded(run, {0: changes})
    events = checked("".join(write_trace([Record.open(run)])))
    starts, ends = ([(e["id"], e["ts"] / 1e6) for e in events if e["ph"] == ph] for ph in "sf")
    assert starts == [(1, 0), (2, 3), (3, 7)]
    assert ends == [(1, 2), (2, 5), (3, 9)]


def test_what_has_no_trace_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert trace([str(make(tmp_path / "a")), "-o", str(tmp_path / "x.json")]) == 2
    assert trace([str(tmp_path / "a"), "-o", str(tmp_path / "x.txt")]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert "a has no timeline: it has not trained yet, or version 0.1 made it" in first
    assert "x.txt: expected a name that ends in .json or .csv" in second


def test_the_advice_on_locks_gates_and_delays(tmp_path: Path):
    def of(name: str, *events: dict[str, object], **summary: object) -> str:
        return runs.advice(Record.open(make(tmp_path / name, events, summary)))

    def closing(**seconds: float) -> dict[str, object]:
        return {"kind": "worker", "time": 9.0, "event": "ended", "worker": 0, "pushes": 9, **seconds}

    assert of("lock", closing(gradient_s=8.0, lock_s=2.0)).startswith("Workers wait for the lock of the model 20 %")
    assert of("skipped", chunks_averaged=6, chunks_skipped=4).startswith("40 % of the chunks of pair averages")
    gates = [{"kind": "gate", "time": k, "why": [], "closed": k - 0.5, "drained": k, "opened": k} for k in (2.0, 5.0)]
    assert of("gate", *gates, wall_s=8.0).startswith("The gate was closed 12 % of the time, 2 times")
    assert of("delay", delay={"mean": 2.5}).startswith("The mean delay is 2.5, and 2 equal workers have 1")
