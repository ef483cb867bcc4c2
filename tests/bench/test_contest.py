"""The contest: when an accuracy was reached, the medians, the page; and one small contest, whole."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch

from bench.contest.__main__ import main
from bench.contest.methods import methods
from bench.contest.ours import Trial
from bench.contest.plan import RUN, SIZES, TUNED, Row, median, reached
from bench.contest.rivals import Recorder, batches
from bench.contest.tables import markdown
from bench.contest.tasks import BATCH_SIZE, SITUATIONS, TASKS, Slowed
from hogwild.tasks import load
from hogwild.tasks.data import Data

MACHINE = {"cpu": "a CPU", "cores": 2, "torch": "2"}


def test_the_time_to_an_accuracy_lies_between_two_copies():
    scores = [(1.0, 64, 0.2), (2.0, 128, 0.6), (3.0, 192, 0.5), (4.0, 256, 0.9)]
    assert reached(scores, 0.2) == 1.0
    assert reached(scores, 0.5) == pytest.approx(1.75)
    assert reached(scores, 0.7) == pytest.approx(3.5), "from the last copy before, which was lower again"
    assert reached(scores, 0.95) is None


@pytest.mark.parametrize(
    ("values", "middle"),
    [
        ([3.0, 1.0, 2.0], 2.0),
        ([1.0, None, 3.0], 3.0),
        ([1.0, None, None], None),
        ([1.0, 2.0], 1.5),
        ([1.0, None], None),
    ],
)
def test_runs_that_did_not_reach_it_are_the_slowest(values: list[float | None], middle: float | None):
    assert median(values) == middle


def row(method: str, to_target_s: float | None, kind: str = RUN, **values: object) -> Row:
    facts = {"task": "mlp", "is_ours": method == "asgd", "situation": "healthy", "lr": 0.05, "seed": 1,
             "accuracy": 0.861, "samples_per_s": 41234.0}  # fmt: skip
    return Row(method=method, to_target_s=to_target_s, kind=kind, **{**facts, **values})


def test_the_page_has_the_quickest_method_first_and_keeps_those_that_do_not_win():
    rows = [row("slow", 3.0), row("asgd", 1.0), row("asgd", 2.0), row("never", None), row("asgd", 9.0, TUNED)]
    page = markdown(rows, "small", MACHINE, "2030-01-01", {"mlp": "contest-mlp.png"})
    lines = [line for line in page.splitlines() if line.startswith("| ")][2:]
    assert lines == [
        "| **asgd** | 0.05 | 1.50 (1.00 to 2.00) | 0.861 (0.861 to 0.861) | 41,234 (41,234 to 41,234) |",
        "| slow | 0.05 | 3.00 | 0.861 | 41,234 |",
        "| never | 0.05 | not reached (1 of 1) | 0.861 | 41,234 |",
    ]
    assert "contest-mlp.png" in page
    assert "straggler" not in page.partition("## mlp")[2], "no table without runs"


def test_all_processes_have_the_same_batches_and_every_sample_once_a_pass():
    data = load("digits")
    trial = Trial(TASKS["digits"], data, 0.1, 3, 10 * BATCH_SIZE, 2)
    one, other = batches(trial), batches(trial)
    per_pass = len(data.train) // BATCH_SIZE
    found = [next(one) for _ in range(per_pass + 1)]
    assert all(torch.equal(index, next(other)) for index in found)
    assert torch.cat(found[:per_pass]).unique().numel() == per_pass * BATCH_SIZE


def test_a_copy_is_kept_whenever_another_part_of_the_steps_is_done():
    recorder, model = (
        Recorder(Trial(TASKS["digits"], load("digits"), 0.1, 0, 10 * BATCH_SIZE, 3)),
        torch.nn.Linear(2, 2),
    )
    for step in range(0, 10, 2):
        recorder(step, step + 2, model)
    assert [copy.samples for copy in recorder.copies] == [4 * BATCH_SIZE, 6 * BATCH_SIZE, 10 * BATCH_SIZE]
    torch.nn.init.zeros_(model.weight)
    assert all(bool(copy.weights["weight"].any()) for copy in recorder.copies), "copies, not views"


@pytest.mark.parametrize(
    ("situation", "name", "sleeps"),
    [("healthy", "hogwild-1", 0), ("straggler", "hogwild-1", 3), ("straggler", "contest-0", 0), ("bursts", "main", 0)],
)
def test_only_the_slow_worker_sleeps(situation: str, name: str, sleeps: int, monkeypatch):
    slept: list[float] = []
    monkeypatch.setattr("bench.contest.tasks.time.sleep", slept.append)
    monkeypatch.setattr("bench.contest.tasks.multiprocessing.current_process", lambda: type("P", (), {"name": name}))
    split = Slowed(load("digits").train, situation, 1.0)
    split.batch(torch.arange(3), train=True)
    split.batch(torch.arange(3), train=False)
    assert sum(slept) == sleeps


def test_every_task_has_its_methods_and_plain_torch():
    for task in TASKS.values():
        names = methods(task.rule)
        assert sum(method.is_ours for method in names.values()) >= 4
        assert sum(not method.slows for method in names.values()) == 2
    assert all(set(size.tasks) <= TASKS.keys() for size in SIZES.values())
    assert isinstance(TASKS["digits"].load("bursts", 0.1), Data)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_quick_contest(tmp_path: Path):
    main(["--size", "quick", "--out", str(tmp_path)])
    with (tmp_path / "contest.csv").open() as file:
        rows = list(csv.DictReader(file))
    entrants = methods("sgd")
    runs = [line for line in rows if line["kind"] == RUN]
    assert len(rows) - len(runs) == 3 * len(entrants)
    assert {(line["method"], line["situation"]) for line in runs} == {
        (name, situation)
        for name, method in entrants.items()
        for situation in SITUATIONS
        if situation == "healthy" or method.slows
    }
    assert all(float(line["samples_per_s"]) > 0 for line in rows)
    assert all(f"| {name} |" in (tmp_path / "contest.md").read_text().replace("**", "") for name in entrants)
