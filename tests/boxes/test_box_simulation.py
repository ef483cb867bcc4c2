"""Simulated boxes: repeatable, one pass by all of them, and nobody waits for a slow one."""

from __future__ import annotations

import pytest
import torch
from slow import rest_is_slow

from hogwild.boxes.pacing import Pacing
from hogwild.config import Config
from hogwild.config.between import CENTERS, PAIRS, ROUNDS
from hogwild.drivers.choice import driver_for
from hogwild.runs.console import Console
from hogwild.runs.directory import RunDirectory

UPDATES = 630


def made(folder, name: str = "run", **options):
    """The driver of 3 boxes of 2 workers."""
    config = Config(
        **{
            "clock": "gamma", "between": "ad-psgd", "between_period": 7, "boxes": 3, "workers": 2, "updates": UPDATES,
            "out": str(folder), "name": name, "eval_every": 0.0, **options,
        }
    )  # fmt: skip
    return driver_for(config).of(config, RunDirectory.begin(config), Console(quiet=True))


def simulated(folder, name: str = "run", **options):
    """(summary, the driver) of such a run."""
    driver = made(folder, name, **options)
    summary = driver.run()
    driver.directory.close()
    return summary, driver


def test_all_boxes_make_the_run_and_end_with_one_model(tmp_path):
    summary, driver = simulated(tmp_path, latency=1.5, bandwidth=1e5)
    assert summary["updates"] == UPDATES == sum(summary["boxes_share"])
    assert min(summary["boxes_share"]) > UPDATES / 4
    assert summary["exchanges"] > 20
    assert 0 < summary["spread_rms"] < 0.1
    first, *others = [box.x for box in driver.simulation.boxes]
    assert all(torch.equal(first, other) for other in others)
    assert summary["test_accuracy"] > 0.8
    rows = (driver.directory.path / "pushes.csv").read_text().splitlines()[1:]
    assert sorted(int(row.split(",")[3]) for row in rows) == list(range(UPDATES))


def test_a_simulation_repeats_itself(tmp_path):
    logs = []
    for name in ("a", "b"):
        _, driver = simulated(tmp_path, name, latency=0.3, between_wire="int8", updates=150)
        logs.append((driver.directory.path / "pushes.csv").read_bytes())
    assert logs[0] == logs[1]


@pytest.mark.parametrize("between", rest_is_slow((PAIRS, *CENTERS), {PAIRS}))
def test_nobody_waits_for_a_slow_box(tmp_path, between: str):
    """One of 4 boxes is 10 times slower: the others do its part, 4 / 3.1 = 1.29 times as long."""
    equal, _ = simulated(tmp_path, "equal", boxes=4, updates=1260, between=between)
    slow, _ = simulated(tmp_path, "slow", boxes=4, updates=1260, between=between, box_straggler={0: 10.0})
    assert slow["virtual_s"] <= 1.35 * equal["virtual_s"]
    assert slow["boxes_share"][0] < 60
    assert slow["test_accuracy"] > 0.9


WAITING = [(between, wait) for between in ROUNDS for wait in ("none", "crew")]


@pytest.mark.parametrize(("between", "wait"), rest_is_slow(WAITING, {("diloco", "crew")}))
def test_rounds_wait_for_a_slow_box_if_its_workers_do(tmp_path, between: str, wait: str):
    """One of 3 boxes is 10 times slower. Where the workers of a box go on, the others do its part."""
    options = {"boxes": 3, "updates": 147, "between": between, "between_wait": wait, "between_period": 7}
    equal, _ = simulated(tmp_path, "equal", **options)
    slow, _ = simulated(tmp_path, "slow", **options, box_straggler={0: 10.0})
    assert equal["exchanges"] > 9
    if wait == "crew":
        assert slow["virtual_s"] >= 7 * equal["virtual_s"]
        assert max(slow["boxes_share"]) - min(slow["boxes_share"]) < 20
    else:
        assert slow["virtual_s"] <= 2 * equal["virtual_s"]
        assert slow["boxes_share"][0] < 40


@pytest.mark.parametrize("wire", ["f32", "int8"])
def test_fluxes_conserve_the_sum_and_bring_boxes_together(tmp_path, wire: str):
    """Without updates (lr is next to 0) fluxes alone change the models."""
    driver = made(tmp_path, lr=1e-30, latency=2.0, updates=420, between_wire=wire)
    simulation = driver.simulation
    generator = torch.Generator().manual_seed(1)
    for box in simulation.boxes:
        box.x.copy_(torch.randn(len(box.x), generator=generator))
    before = sum(box.x.double() for box in simulation.boxes)
    while simulation.advance() is not None:
        pass
    after = sum(box.x.double() for box in simulation.boxes)
    assert simulation.between.exchanges > 20
    assert float((after - before).abs().max()) < 1e-5
    assert simulation.average() < 0.01
    driver.directory.close()


def test_a_message_takes_its_time(tmp_path):
    """With a bandwidth at which an exchange takes longer than a period, periods are dropped, and none is made up."""
    fast, _ = simulated(tmp_path, "fast", updates=240)
    slow, _ = simulated(tmp_path, "slow", updates=240, bandwidth=3000.0)  # 77 kB: 26 units, 52 updates of the box
    coded, _ = simulated(tmp_path, "coded", updates=240, bandwidth=3000.0, between_wire="int8")
    assert slow["exchanges"] < coded["exchanges"] < fast["exchanges"]
    assert slow["exchanges_late"] > 0
    assert fast["exchanges_late"] == 0
    assert coded["moved_bytes"] / coded["exchanges"] < 0.3 * slow["moved_bytes"] / slow["exchanges"]


@pytest.mark.parametrize(("version", "passed", "due"), [(10, 0, 20), (19, 0, 20), (20, 1, 30), (47, 3, 50)])
def test_periods_that_pass_are_dropped(version: int, passed: int, due: int):
    pacing = Pacing(10, seed=0, box=1, version=0)
    assert pacing.due == 10
    assert pacing.end(version) == passed
    assert pacing.due == due


@pytest.mark.parametrize("updates_per_s", [3.0, 17.0, 400.0, 9000.0])
def test_a_courier_looks_seldom_and_sees_in_time_that_an_exchange_is_due(updates_per_s: float):
    """Looks at most some dozen times per period, or every 50 ms; what it is late by is small beside the period."""
    pacing = Pacing(50, seed=0, box=1, version=0)
    period_s = 50 / updates_per_s
    now, looks, exchanges = 0.0, 0, 0
    for _ in range(5000):
        looks += 1
        now += pacing.pause(int(now * updates_per_s), now)
        if (version := int(now * updates_per_s)) >= pacing.due:
            late_s = now - pacing.due / updates_per_s
            assert late_s <= max(0.002, 0.05 * period_s)
            pacing.end(version)
            exchanges += 1
    assert exchanges >= 3
    assert looks / exchanges <= max(40, period_s / 0.05 + 40)
