"""Which method when: the choice of a learning rate, the time to a target, and the verdicts, from rows alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from hogwild.reproduce import choice_verdicts as verdicts
from hogwild.reproduce import choose
from hogwild.reproduce.choices import EXPERIMENTS
from hogwild.reproduce.choose import Cell, Experiment, Setting, soonest
from hogwild.reproduce.choose_run import course, ending, time_to
from hogwild.reproduce.choose_table import bests, page
from hogwild.reproduce.figure import Row
from hogwild.reproduce.study import Study


def falling(rate: float, points: int = 12, *, diverged: bool = False) -> dict[str, object]:
    """Loss 2 - rate t, accuracy rate t / 2 at t = 1, 2, ..."""
    found = [[float(t), 2 - rate * t, rate * t / 2] for t in range(1, points + 1)]
    measured = {"delay_mean": 1.5, "delay_sd": 0.5, "gradients": 40, "bytes": 8.0}
    return {"points": found, "diverged": diverged, **measured}


def test_the_time_to_a_target_lies_between_two_points_and_is_kept():
    points = [[1.0, 1.0, 0.1], [2.0, 0.4, 0.5], [3.0, 0.8, 0.2], [4.0, 0.3, 0.6], [5.0, 0.2, 0.7], [6.0, 0.1, 0.8]]
    assert time_to(points, 0.5, 1) == pytest.approx(3.6), "not at 2, because it rises again"
    assert time_to(points, 0.5, 2) == pytest.approx(3.75)
    assert time_to(points, 0.05, 1) is None
    assert time_to(points[3:], 0.5, 1) == 4.0


def test_the_end_of_a_run_is_its_last_quarter_unless_it_diverged():
    assert ending(falling(0.1)) == pytest.approx((2 - 0.1 * 11, 0.55))
    assert ending(falling(0.1, diverged=True)) == (math.inf, 0.0)


def test_the_best_learning_rate_is_the_one_that_is_there_first_or_else_lowest():
    at_lr = {0.1: falling(0.05), 0.3: falling(0.15), 1.0: falling(0.3, 2, diverged=True)}
    assert soonest(at_lr, 0.5, 1) == 0.3
    assert soonest(at_lr, 0.01, 1) == 0.3
    assert soonest({1.0: falling(0.3, 2, diverged=True), 0.1: falling(0.01)}, 0.0, 1) == 0.1


def test_every_seed_runs_at_the_best_rate_and_the_reference_sets_the_target(tmp_path: Path, monkeypatch):
    """ssgd is best at 1, asgd the better the larger the rate is, up to any."""
    asked = []

    def one(**case):
        asked.append((case["algorithm"], case["lr"], case["seed"]))
        rate = {"ssgd": 0.05, "asgd": 0.1}[case["algorithm"]]
        lr = 0.2 if case["algorithm"] == "ssgd" and case["lr"] > 1 else case["lr"]
        return falling(rate * lr * (1 + case["seed"]))

    monkeypatch.setattr(choose, "course", one)
    one.__module__, one.__qualname__ = __name__, "one"
    setting = Setting("s", 12.0, {"workers": 2, "clock": "round-robin"})
    cells = (Cell(setting, "asgd", {"clip": 1.0}), Cell(setting, "ssgd"))
    experiment = Experiment("choose-1", "", cells, "ssgd", verdicts.unbiased, seeds=2, lrs=(0.5, 1.0))
    rows = experiment.compute(Study("tiny", 0, tmp_path))
    tried = {name: sorted({lr for one, lr, _ in asked if one == name}) for name in ("ssgd", "asgd")}
    assert tried == {"ssgd": [0.5, 1.0, 3.0], "asgd": [0.5, 1.0, 3.0, 10.0]}, "longer lists, but not for ever"
    assert len(asked) == len(set(asked)) == 3 + 4 + 2, "and the other seed at the best rates"
    chosen = [row for row in rows if row["chosen"]]
    assert [(row["algorithm"], row["lr"], row["seed"]) for row in chosen] == [
        ("asgd", 10.0, 0), ("asgd", 10.0, 1), ("ssgd", 1.0, 0), ("ssgd", 1.0, 1),
    ]  # fmt: skip
    goals = {row["seed"]: row["target"] for row in rows}
    assert goals == pytest.approx({0: 0.05 * 11 / 2 - 0.005, 1: 2 * 0.05 * 11 / 2 - 0.005}), "ssgd with that seed"
    found = bests(rows)["s"]
    assert found["asgd clip=1.0"].seeds == 2
    assert found["asgd clip=1.0"].time < 12
    assert "| asgd clip=1.0 | 10 (edge) |" in page(rows)
    assert "| ssgd | 1 |" in page(rows)


def test_a_setting_may_have_a_target_of_its_own(tmp_path: Path, monkeypatch):
    def one(**case):
        return falling({0.1: 0.05, 0.3: 0.15, 1.0: 0.1}[case["lr"]])

    monkeypatch.setattr(choose, "course", one)
    one.__module__, one.__qualname__ = __name__, "one"
    values = {"workers": 2, "clock": "round-robin"}
    settings = [Setting("accuracy", 12.0, values), Setting("loss", 12.0, values, target={"tiny": 0.8, "paper": 0.4})]
    cells = tuple(Cell(setting, "ssgd") for setting in settings)
    experiment = Experiment("choose-1", "", cells, "ssgd", verdicts.unbiased, lrs=(0.1, 0.3, 1.0))
    rows = experiment.compute(Study("tiny", 0, tmp_path))
    found = {row["setting"]: (row["target"], row["time"]) for row in rows if row["chosen"]}
    assert found["loss"] == pytest.approx((0.8, 8.0))
    assert found["accuracy"] == pytest.approx((0.15 * 11 / 2 - 0.005, 10.9333), abs=1e-3)


def test_a_run_is_measured_at_the_points_of_virtual_time():
    values = {"workers": 3, "clock": "gamma:cv=0.4", "algorithm": "asgd", "lr": 0.05, "seed": 1, "batch_size": 8}
    found = course(data="digits", samples=60, tests=30, until=8.0, points=4, model="mlp", **values)
    assert [point[0] for point in found["points"]] == [2.0, 4.0, 6.0, 8.0]
    assert found["points"][-1][1] < found["points"][0][1]
    assert found["delay_mean"] == pytest.approx(2, abs=0.3)
    assert found["bytes"] == pytest.approx(8, abs=0.6), (
        "a gradient there and a model back; the first models come beside"
    )
    lost = course(data="digits", samples=60, tests=30, until=60.0, points=4, model="mlp", **{**values, "lr": 50.0})
    assert lost["diverged"]


def rows_of(times: dict[str, float | None], accuracies: Mapping[str, float] = MappingProxyType({})) -> list[Row]:
    return [
        {"setting": "s", "algorithm": name.split()[0], "options": " ".join(name.split()[1:]) or None, "lr": 0.1,
         "chosen": 1, "time": time, "accuracy": accuracies.get(name, 0.97), "loss": 0.1, "until": 100.0,
         "goal": "accuracy", "target": 0.96, "delay_mean": 1.0, "delay_sd": 0.0, "bytes": 8.0, "workers": 8}
        for name, time in times.items()
    ]  # fmt: skip


def test_the_first_verdict_asks_for_two_quick_methods_and_a_biased_asgd():
    times = {"ssgd": 90.0, "asgd": None, "ia2sgd": 40.0, "area": 44.0}
    assert verdicts.unbiased(rows_of(times, {"asgd": 0.9})).holds
    assert not verdicts.unbiased(rows_of(times)).holds, "asgd is as accurate"
    assert not verdicts.unbiased(rows_of({**times, "area": 46.0}, {"asgd": 0.9})).holds, "more than half of ssgd's time"
    assert verdicts.unbiased(rows_of({**times, "ssgd": None, "area": 49.0}, {"asgd": 0.9})).holds, "ssgd takes over 100"
    both = [*rows_of(times, {"asgd": 0.9}), *[{**row, "setting": "t"} for row in rows_of(times)]]
    assert not verdicts.unbiased(both).holds, "in every setting"


def test_the_verdict_on_batches_compares_with_clipping():
    times = {"k-batch-sync k=2": 30.0, "k-batch-sync k=8": 20.0, "asgd clip=1.0": 19.0}
    assert verdicts.batch(rows_of(times)).holds
    assert not verdicts.batch(rows_of({**times, "asgd clip=1.0": 10.0})).holds


def test_paper_scale_has_all_data_and_passes_over_them_about_as_often(tmp_path: Path):
    tiny, paper = Study("tiny", 0, tmp_path / "tiny"), Study("paper", 0, tmp_path / "paper")
    for experiment in EXPERIMENTS:
        for cell in experiment.cells:
            small, large = cell.case(tiny, 0.1, 0), cell.case(paper, 0.1, 0)
            assert large["samples"] == 60_000
            assert 0.3 < large["until"] / small["until"] / (large["samples"] / small["samples"]) < 3
            assert {**small, **large} == large, "nothing else is tiny's alone"
            target = cell.setting.target or experiment.target
            assert isinstance(target, str) or target.keys() == {"tiny", "paper"}


def test_the_experiments_name_every_cell_once():
    for experiment in EXPERIMENTS:
        named = [(cell.setting.name, cell.algorithm, str(cell.options)) for cell in experiment.cells]
        assert len(set(named)) == len(named), experiment.name
