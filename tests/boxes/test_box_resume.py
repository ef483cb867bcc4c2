"""Runs of boxes are resumed by the same command and --resume, with the same, fewer and more boxes."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest
import torch
from box_runs import Boxes, until
from slow import rest_is_slow
from test_box_simulation import simulated

from hogwild.cli import flags
from hogwild.config import Config
from hogwild.errors import UsageError
from hogwild.runs.directory import RunDirectory
from hogwild.runs.parts import newest_with_checkpoint, parts_of


def part(run: Path, name: str, *, checkpoint: bool = False, **options: object) -> Path:
    values = {"out": str(run), "name": name, "between": "easgd", "lr": 0.25, "updates": 90, **options}
    directory = RunDirectory.create(Config.from_values(values))
    directory.close()
    if checkpoint:
        (directory.ckpt / "step-00000010").mkdir()
    return directory.path


def test_the_parts_of_a_run(tmp_path):
    first, second = part(tmp_path, "box1", checkpoint=True), part(tmp_path, "box1~2", checkpoint=True)
    part(tmp_path, "box1~10")
    other = part(tmp_path, "box0")
    (tmp_path / "box2").mkdir()
    parts = parts_of(tmp_path)
    assert list(parts) == [0, 1]
    assert parts[1][:2] == [first, second]
    assert newest_with_checkpoint(parts[1]) == second
    assert newest_with_checkpoint(parts[0]) == other
    assert newest_with_checkpoint([]) is None


def test_the_configuration_is_that_of_a_part(tmp_path):
    run = tmp_path / "run"
    part(run, "box1", checkpoint=True)
    same = ["--out", str(tmp_path), "--name", "run", "--resume", str(run)]
    config = flags.parse([*same, "--updates", "120"])
    assert (config.between, config.lr, config.updates, config.resume) == ("easgd", 0.25, 120, str(run))
    with pytest.raises(UsageError, match="--resume cannot change between from 'easgd' to 'ad-psgd'"):
        flags.parse([*same, "--between", "ad-psgd"])
    with pytest.raises(UsageError, match="goes on in that place, and --out and --name say"):
        flags.parse(["--name", "other", "--resume", str(run)])
    with pytest.raises(UsageError, match=r"box1 is the part of one box: resume the run of all boxes, .*run"):
        flags.parse(["--resume", str(run / "box1")])


def test_a_new_machine_is_given_the_whole_command(tmp_path):
    """It has no part of the run to read."""
    run = str(tmp_path / "run")
    config = flags.parse(["--resume", run, "--between", "easgd", "--algorithm", "adamw", "--lr", "0.5"])
    assert (config.between, config.algorithm, config.lr, config.resume) == ("easgd", "adamw", 0.5, run)
    with pytest.raises(UsageError, match="is not a run directory"):
        flags.parse(["--resume", run])


@pytest.mark.parametrize("between", rest_is_slow(("ad-psgd", "async-diloco", "diloco"), {"ad-psgd"}))
def test_simulated_boxes_repeat_themselves_bit_for_bit(tmp_path, between: str):
    def read(driver: object) -> list[bytes]:
        path = driver.directory.path
        return [(path / name).read_bytes() for name in ("pushes.csv", "metrics.jsonl")]

    _, driver = simulated(tmp_path, "whole", updates=80, between=between)
    first, _ = simulated(tmp_path, "part", updates=40, between=between)
    assert first["updates"] == 40
    config = flags.parse(["--resume", str(tmp_path / "part"), "--updates", "80"])
    again, other = simulated(tmp_path, **{name: value for name, value in config.values().items() if name != "out"})
    assert again["updates"] == 80
    assert read(other) == read(driver)
    assert torch.equal(other.simulation.boxes[0].x, driver.simulation.boxes[0].x)


# ---- processes ------------------------------------------------------------------------------------------------


def interrupted(folder: Path, boxes: int, **options: object) -> None:
    """A run that is stopped as it trains."""
    with Boxes(folder, boxes, updates=4000, **options) as run:
        run.start_all()
        until(lambda: all(run.exchanges(b) > 2 for b in range(boxes)), "the boxes exchange")
        for box in range(boxes):
            run.processes[box].send_signal(signal.SIGTERM)
        assert run.ended(*range(boxes)) == [130] * boxes
        assert f"continue with the same command in all boxes, and --resume {folder / 'run'}" in run.output(0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("between", "boxes"), [("ad-psgd", 2), ("ad-psgd", 1), ("ad-psgd", 3), ("easgd", 2), ("diloco", 3)]
)
def test_a_run_goes_on_with_the_same_fewer_and_more_boxes(tmp_path, between: str, boxes: int):
    """Every ticket is made once. A box less: those of its last second may be made again."""
    interrupted(tmp_path, 2, between=between)
    before = [path.read_text() for path in sorted((tmp_path / "run").glob("box*/config.yaml"))]
    assert len(before) == 2
    with Boxes(tmp_path, boxes, updates=4000, between=between, resume=tmp_path / "run") as run:
        run.start_all()
        assert run.ended(*range(boxes)) == [0] * boxes, [run.output(b) for b in range(boxes)]
        summary = run.summary()
        assert all(run.path(b).name == f"box{b}" for b in range(boxes))
        assert summary["boxes"] == boxes
        if boxes >= 2:
            assert summary["updates"] == 4000 == sum(summary["boxes_share"])
            assert summary["joins"] == boxes - 2
        else:
            assert 1000 < summary["updates"] <= 4000  # 4000: nothing of the other box was known yet
        assert summary["test_accuracy"] > 0.93
        if between == "ad-psgd" and boxes > 1:
            assert re.search(r"boxes \d, exchanges \d+, lag [\d.]+, sends [\d.]+ k bytes/s", run.output(0))


@pytest.mark.slow
def test_one_box_of_one_worker_goes_on_as_an_undisturbed_one(tmp_path):
    def trained(folder: Path, name: str, **options: object) -> dict[str, torch.Tensor]:
        with Boxes(folder, 1, name=name, **options) as run:
            run.start(0)
            assert run.ended(0) == [0], run.output(0)
        state = torch.load(folder / name / "box0" / "ckpt" / "last" / "state.pt", weights_only=True)
        assert state["version"] == options["updates"]
        return state["parameters"]

    whole = trained(tmp_path, "whole", updates=130)
    trained(tmp_path, "part", updates=70)
    found = trained(tmp_path, "part", updates=130, resume=tmp_path / "part")
    assert all(torch.equal(found[name], whole[name]) for name in whole)


@pytest.mark.slow
def test_there_must_be_a_checkpoint_somewhere(tmp_path):
    with Boxes(tmp_path, resume=tmp_path / "run") as run:
        run.start_all()
        assert run.ended(0, 1) == [2, 2]
        assert "no box that is here has a checkpoint of" in run.output(0)
