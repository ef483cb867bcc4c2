"""hogwild.simulate and hogwild.compare."""

from __future__ import annotations

import importlib
import json
import sys
import threading
from pathlib import Path

import pytest
from small_fits import samples, simulate, two

import hogwild
from hogwild.errors import UsageError

VALUES = {"clock": "round-robin", "epochs": 2, "batch_size": 11}


def rows_of(dataset=None, **options) -> list[dict]:
    return hogwild.compare(
        two, dataset or (samples(), samples(50)), **{"lr": 0.1, "workers": (1, 3), "seeds": 2, **VALUES, **options}
    )


def test_simulate_is_fit_under_a_clock():
    result = hogwild.simulate(two, (samples(), samples(50)), epochs=2, batch_size=11, lr=0.1)
    assert result.summary["clock"] == "gamma"
    assert result.history[-1]["virtual_s"] > 0


def test_compare_gives_the_evaluations_of_every_run():
    found = rows_of(algorithms=["asgd", "gap-aware"], vary={"weight_decay": [0.0, 0.5]}, jobs=1)
    assert len(found) == 2 * 2 * 2 * 2 * 2  # algorithms, workers, seeds, decays, epochs
    wanted = simulate(workers=3, seed=1, weight_decay=0.5, algorithm="gap-aware")
    mine = [
        row for row in found
        if (row["algorithm"], row["workers"], row["seed"], row["weight_decay"]) == ("gap-aware", 3, 1, 0.5)
    ]  # fmt: skip
    assert [row["last"] for row in mine] == [False, True]
    assert [row["exit_reason"] for row in mine] == ["done", "done"]
    for row, history in zip(mine, wanted.history, strict=True):
        assert {name: row[name] for name in history} == history
    assert mine[1]["train_loss"] == wanted.summary["train_loss"]


def test_runs_in_processes_are_those_of_this_process_and_are_not_made_again(monkeypatch):
    here = rows_of(jobs=1, directory="here")
    assert rows_of(jobs=2, directory="there") == here
    Path("there/runs.jsonl").write_text("".join(Path("there/runs.jsonl").read_text().splitlines(True)[:3]) + '{"cut')
    made = []
    import hogwild.library.comparing as comparing

    real = comparing.fit
    monkeypatch.setattr(comparing, "fit", lambda *a, **k: made.append(k["seed"]) or real(*a, **k))
    assert rows_of(jobs=1, directory="there") == here
    assert len(made) == 1
    assert len(rows_of(jobs=1, directory="there", lr=0.2)) == len(here)  # other options, other runs
    assert len(made) == 5
    assert [json.loads(line)["seed"] for line in Path("here/runs.jsonl").read_text().splitlines()] == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": 7}, "seed is set by hogwild.compare itself: give seeds"),
        ({"name": "mine"}, "name is set by hogwild.compare itself"),
        ({"vary": {"workers": [2]}}, "workers is set by hogwild.compare itself: give workers, a list"),
        ({"vary": {"algorithm": ["ssgd"]}}, "give algorithms"),
    ],
)
def test_options_that_the_grid_sets_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        rows_of(**options)


def test_what_is_given_twice_is_run_once(tmp_path):
    found = rows_of(algorithms=["asgd", "asgd"], workers=[1, 1], seeds=[0, 0], epochs=1, jobs=1, directory=tmp_path)
    assert len(found) == 1
    (tmp_path / "runs").rename(tmp_path / "elsewhere")
    (tmp_path / "runs").symlink_to("elsewhere")
    with pytest.raises(UsageError, match="is a symbolic link"):
        rows_of(directory=tmp_path)


@pytest.mark.parametrize("line", ['{"key": 1}', '{"key": [1], "rows": []}', '{"key": "a", "rows": {"b": 1}}'])
def test_damaged_results_are_told(tmp_path, line):
    (tmp_path / "runs.jsonl").write_text(line + "\n")
    with pytest.raises(UsageError, match="has a line that is no run of a comparison"):
        rows_of(directory=tmp_path)


def test_an_own_algorithm_that_has_changed_is_run_again(monkeypatch, tmp_path):
    text = (
        "from dataclasses import dataclass\n"
        "from hogwild.algorithms.stale.asgd import ASGD\n\n\n"
        "@dataclass(frozen=True)\n"
        "class Changing(ASGD):\n"
        "    name = 'changing'\n\n"
        "    def worker(self, w):\n"
        "        yield from super().worker(w)\n"
    )
    file = tmp_path / "changing.py"
    file.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    module = importlib.import_module("changing")
    options = {"workers": [1], "seeds": 1, "jobs": 1, "directory": "own"}
    for form in (module.Changing, {"mine": module.Changing()}):
        for _ in range(2):
            rows_of(algorithms=form if isinstance(form, dict) else [form], **options)
    assert len(Path("own/runs.jsonl").read_text().splitlines()) == 2
    file.write_text(text.replace("        yield", "        # another way\n        yield"))
    module = importlib.reload(module)
    rows_of(algorithms=[module.Changing], **options)
    assert len(Path("own/runs.jsonl").read_text().splitlines()) == 3


def test_runs_that_diverge_or_have_no_test_set_have_rows():
    [row] = rows_of(lr=1e38, workers=[1], seeds=1, jobs=1)
    assert (row["exit_reason"], row["last"]) == ("diverged", True)
    [row] = rows_of((samples(), None), workers=[1], seeds=[5], jobs=1)
    assert row["seed"] == 5
    assert row["train_loss"] > 0


def test_what_cannot_be_compared_is_told():
    with pytest.raises(UsageError, match="there is nothing to compare"):
        rows_of(algorithms=[])
    with pytest.raises(UsageError, match=r"processes cannot import .*: define them at module level .*jobs=1"):
        hogwild.compare(lambda: two(), (samples(), None), jobs=2, **VALUES)
    with pytest.raises(UsageError, match=r"hogwild.fit has no optimizer=. Use algorithm="):
        rows_of(optimizer=3, jobs=1)
    for options, message in (
        ({"workers": 4}, "workers is int 4: give a list of values"),
        ({"algorithms": "asgd"}, "algorithms is str 'asgd': give a list"),
        ({"vary": {"lr": 0.1}}, "vary lr is float 0.1: give a list"),
        ({"jobs": -1}, "jobs is -1: give the runs at a time"),
    ):
        with pytest.raises(UsageError, match=message):
            rows_of(**options)


def half(_: float) -> float:
    return 0.5


def whole(_: float) -> float:
    return 1.0


def test_a_varied_rate_is_that_of_the_call_and_functions_count_by_their_names():
    rows = rows_of(vary={"lr": [0.1, 0.5]}, schedule="cosine", workers=[1], seeds=1, jobs=1)
    assert [row["lr"] for row in rows if row["last"]] == [0.1, 0.5]
    slow, fast = (rows_of(schedule=shape, workers=[1], seeds=1, jobs=1)[-1] for shape in (half, whole))
    assert slow["test_loss"] != fast["test_loss"]


class Counts(hogwild.Callback):
    def __init__(self) -> None:
        self.evaluations = 0

    def on_eval(self, run):
        self.evaluations += 1
        run.metrics["evaluations"] = self.evaluations


def test_every_run_has_callbacks_of_its_own():
    rows = rows_of(callbacks=[Counts(), hogwild.EMA(0.9)], workers=[1], jobs=1)
    assert [row["evaluations"] for row in rows] == [1, 2, 1, 2]
    with pytest.raises(UsageError, match=r"has callbacks of its own, and these cannot be copied \(TypeError"):
        rows_of(callbacks=[WithLock()], workers=[1], seeds=1, jobs=1)


class WithLock(hogwild.Callback):
    def __init__(self) -> None:
        self.lock = threading.Lock()
