"""The contest: when an accuracy was reached, the medians, the page; and one small contest, whole."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bench.contest.__main__ import command, main
from bench.contest.course import accuracy, weights_of
from bench.contest.methods import methods
from bench.contest.ours import Trial
from bench.contest.parts import from_csv, parts_of
from bench.contest.plan import FURTHER, RUN, SIZES, TUNED, Row, best, contest, mark, median, next_lr, reached, tune
from bench.contest.rivals import Recorder, batches
from bench.contest.tables import markdown, write
from bench.contest.tasks import BATCH_SIZE, SITUATIONS, TASKS, Slowed
from hogwild.errors import UsageError
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


LISTED = TASKS["mlp"].lrs


def tried(accuracies: Mapping[float, float], method: str = "asgd") -> list[Row]:
    """A row for each learning rate."""
    return [row(method, None, TUNED, lr=lr, accuracy=found) for lr, found in accuracies.items()]


@pytest.mark.parametrize(
    ("accuracies", "end", "wanted"),
    [
        ({0.02: 0.8, 0.05: 0.7, 0.1: 0.6}, "<", 0.01),
        ({0.02: 0.6, 0.05: 0.7, 0.1: 0.8}, ">", 0.2),
        ({0.02: 0.7, 0.05: 0.8, 0.1: 0.7}, "", None),
        ({0.02: 0.8, 0.05: 0.7, 0.1: 0.6, 0.01: 0.7}, "", None),
        ({0.02: 0.8, 0.05: 0.7, 0.1: 0.6, 0.01: 0.9}, "<", 0.005),
        ({0.02: 0.8, 0.05: 0.7, 0.1: 0.6, 0.01: 0.9, 0.005: 0.95}, "<", None),
        ({0.02: 0.6, 0.05: 0.7, 0.1: 0.8, 0.2: 0.9, 0.4: 0.95}, ">", None),
        ({0.02: math.nan, 0.05: 0.1, 0.1: math.nan}, "", None),
        ({0.02: 0.8, 0.05: 0.7, 0.1: 0.6, 0.01: math.nan}, "", None),
        ({0.02: math.nan, 0.05: math.nan, 0.1: math.nan}, "<", 0.01),
        ({0.02: 0.1, 0.05: 0.1, 0.1: 0.1}, "<", 0.01),
    ],
)
def test_while_the_best_rate_is_an_end_one_beyond_it_is_tried(accuracies, end: str, wanted: float | None):
    assert mark(tried(accuracies)) == end
    assert next_lr(tried(accuracies), LISTED) == wanted


def test_the_list_is_tried_first_and_nan_is_never_the_best():
    assert [next_lr(tried(dict.fromkeys(LISTED[:count], 0.5)), LISTED) for count in range(3)] == list(LISTED)
    assert best(tried({0.02: math.nan, 0.05: 0.1, 0.1: math.nan})).lr == 0.05


def test_methods_take_turns_and_each_tries_as_many_rates_as_it_needs():
    best_lr = {"low": 0.0, "middle": 0.05, "high": 0.2}
    turns: list[tuple[str, float]] = []

    def run(method: str, lr: float) -> Row:
        turns.append((method, lr))
        return row(method, None, TUNED, lr=lr, accuracy=-abs(lr - best_lr[method]))

    found = tune(run, best_lr, LISTED)
    assert turns == [(name, lr) for lr in LISTED for name in best_lr] + [
        ("low", 0.01), ("high", 0.2), ("low", 0.005), ("high", 0.4),
    ]  # fmt: skip
    assert {name: best(rows).lr for name, rows in found.items()} == {"low": 0.005, "middle": 0.05, "high": 0.2}
    assert max(map(len, found.values())) == len(LISTED) + FURTHER


def test_the_page_has_the_quickest_method_first_and_keeps_those_that_do_not_win():
    rows = [row("slow", 3.0), row("asgd", 1.0), row("asgd", 2.0), row("never", None), row("asgd", 9.0, TUNED)]
    rows += tried({0.05: 0.8, 0.02: 0.7}) + tried({0.05: 0.7, 0.1: 0.6}, "slow")
    rows += tried({0.02: 0.6, 0.05: 0.7, 0.1: 0.6}, "never")
    page = markdown(parts_of(rows, "2030-01-01", "a CPU", "python -m bench.contest"), {"mlp": "contest-mlp.png"})
    lines = [line for line in page.splitlines() if line.startswith("| ")][2:]
    assert lines == [
        "| **asgd** | >0.05 | 1.50 (1.00 to 2.00) | 0.861 (0.861 to 0.861) | 41,234 (41,234 to 41,234) |",
        "| slow | <0.05 | 3.00 | 0.861 | 41,234 |",
        "| never | 0.05 | not reached (1 of 1) | 0.861 | 41,234 |",
    ]
    assert "contest-mlp.png" in page
    assert "straggler" not in page.partition("## mlp")[2], "no table without runs"


@pytest.mark.parametrize(("further", "said"), [({}, True), ({0.01: 0.7}, False)])
def test_the_page_says_where_only_three_rates_were_tried(further: dict[float, float], said: bool):
    rows = [*tried({0.02: 0.8, 0.05: 0.7, 0.1: 0.6} | further), row("asgd", 1.0)]
    assert ("Only three rates" in markdown(parts_of(rows, "2030-01-01", "a CPU", "python"), {})) is said


def test_tasks_that_are_not_run_again_stay(tmp_path: Path):
    def of(task: str, seconds: float) -> list[Row]:
        return [row("asgd", None, TUNED, task=task), row("asgd", seconds, task=task), row("asgd", None, task=task)]

    write([*of("mlp", 1.25), *of("lenet", 2.5)], tmp_path, "the first", MACHINE, "2030-01-01")
    write([*of("lenet", 7.0), *of("digits", 8.0)], tmp_path, "another", MACHINE, "2030-01-02")
    mlp, lenet, digits = from_csv(tmp_path / "contest.csv")
    assert (mlp.day, mlp.command, mlp.rows) == ("2030-01-01", "the first", of("mlp", 1.25))
    assert [(part.task, part.day) for part in (lenet, digits)] == [("lenet", "2030-01-02"), ("digits", "2030-01-02")]
    assert lenet.rows == of("lenet", 7.0)
    page = (tmp_path / "contest.md").read_text()
    assert page.index("the first") < page.index("## lenet") < page.index("another")


@pytest.mark.parametrize("name", TASKS)
def test_of_every_task_the_part_that_is_right_is_counted(name: str):
    task = TASKS[name]
    try:
        data = task.load("healthy", 0.0)
    except UsageError as missing:
        pytest.skip(str(missing))
    model = task.build(data, 0)
    assert 0 <= accuracy(model, weights_of(model), data, 100) < 0.5, "a model that is not trained"


def test_weights_that_are_not_finite_have_no_accuracy():
    data, task = load("digits"), TASKS["digits"]
    model = task.build(data, 0)
    weights = weights_of(model)
    assert accuracy(model, weights, data, 100) > 0
    assert accuracy(model, {name: value * math.nan for name, value in weights.items()}, data, 100) == 0


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


@pytest.mark.parametrize(
    ("argv", "name", "known"),
    [
        (["--methods", "asgd", "agsd"], "agsd", "asgd, shifted, gap-aware, 'easgd, momentum', ad-psgd, "),
        (["--methods", "asgd", "--tasks", "charlm"], "asgd", "adamw, 'adamw, own momentum', "),
    ],
)
def test_a_method_that_is_not_known_gives_one_line_with_those_that_are(argv: list[str], name: str, known: str, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(argv)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"bench.contest: no method {name!r}; there are {known}")


def test_the_page_names_the_command_that_makes_its_rows_again():
    given = {"tasks": ["mlp"], "methods": ["asgd", "easgd, momentum"], "repeats": 2}
    assert command("small", {}) == "python -m bench.contest --size small"
    assert command("full", given) == (
        "python -m bench.contest --size full --tasks mlp --methods asgd 'easgd, momentum' --repeats 2"
    )


def test_the_help_says_how_long_each_size_takes(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert "small: mlp, lenet, about 45 min; full: mlp, lenet, resnet20, charlm, several hours" in told


def test_of_some_methods_a_task_has_those_of_its_rule():
    size = replace(SIZES["full"], methods=["one process, 1 thread", "asgd"])
    assert list(size.entrants(TASKS["mlp"])) == ["asgd", "one process, 1 thread"]
    assert list(size.entrants(TASKS["charlm"])) == ["one process, 1 thread"]
    assert contest(replace(size, tasks=["charlm"], methods=["asgd"]), print) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_quick_contest(tmp_path: Path):
    main(["--size", "quick", "--out", str(tmp_path)])
    with (tmp_path / "contest.csv").open() as file:
        rows = list(csv.DictReader(file))
    entrants = methods("sgd")
    runs = [line for line in rows if line["kind"] == RUN]
    tuning = [line for line in rows if line["kind"] == TUNED]
    for name in entrants:
        mine = [row(name, None, lr=float(one["lr"]), accuracy=float(one["accuracy"]))
                for one in tuning if one["method"] == name]  # fmt: skip
        assert next_lr(mine, TASKS["digits"].lrs) is None
        assert {float(line["lr"]) for line in runs if line["method"] == name} == {best(mine).lr}
    assert {(line["method"], line["situation"]) for line in runs} == {
        (name, situation)
        for name, method in entrants.items()
        for situation in SITUATIONS
        if situation == "healthy" or method.slows
    }
    assert all(float(line["samples_per_s"]) > 0 for line in rows)
    assert all(f"| {name} |" in (tmp_path / "contest.md").read_text().replace("**", "") for name in entrants)
