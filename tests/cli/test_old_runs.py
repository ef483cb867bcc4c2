"""Runs of version 0.1.0 (tests/fixtures/README.md) are resumed, evaluated, exported and read, with the same results."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from hogwild import train
from hogwild.cli.main import main
from hogwild.tasks import build_model, load

OLD = Path(__file__).parents[1] / "fixtures" / "runs-0.1"
TRAINED = ("asgd", "d-psgd", "easgd", "gap-aware")
MORE = 20  # updates
LOSS = {
    "asgd": 0.2468797117471695,
    "gap-aware": 0.33772438764572144,
}  # result of version 0.1.0 after MORE updates with one worker


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The old runs, to write to."""
    runs = tmp_path / "old"
    shutil.copytree(OLD, runs, symlinks=True)
    for path in runs.iterdir():
        (path / "workers").mkdir()  # empty folders are not stored
    return runs


def summary(run: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((run / "summary.json").read_text())
    return values


def resume(run: Path, *flags: str) -> dict[str, Any]:
    """The summary after MORE updates."""
    updates = summary(run)["updates"] + MORE
    assert train.main(["--resume", str(run), "--updates", str(updates), "--quiet", *flags]) == 0
    return summary(run)


def state(run: Path) -> dict[str, Any]:
    values: dict[str, Any] = torch.load(run / "ckpt" / "last" / "state.pt", weights_only=True)
    return values


def conserved(run: Path) -> torch.Tensor:
    """The quantity that updates with lr 0 do not change: the trained model; under elastic averaging the sum of all
    models.
    """
    values = state(run)
    flat = torch.cat([value.reshape(-1) for value in values["parameters"].values()])
    replicas = values["buffers"]["replica"] if run.name == "easgd" else []
    return sum((replica[: flat.numel()] for replica in replicas), flat)


@pytest.mark.parametrize("name", TRAINED)
def test_an_old_run_is_resumed(copied: Path, name: str):
    """With a vanishing lr no model changes, not even a worker's own."""
    run = copied / name
    before, models, lines = summary(run), conserved(run), (run / "metrics.jsonl").read_text()
    after = resume(run, "--lr", "1e-30")
    assert after["exit_reason"] == "done"
    assert after["updates"] == before["updates"] + MORE
    assert after["samples"] > before["samples"]
    assert (run / "metrics.jsonl").read_text().startswith(lines)
    assert (run / "ckpt" / "last").resolve().name == f"step-{after['updates']:08d}"
    torch.testing.assert_close(conserved(run), models, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", LOSS)
def test_an_old_run_goes_on_with_its_momentum(copied: Path, name: str):
    """One worker has no races: it gets the result of version 0.1.0 from the same checkpoint."""
    assert resume(copied / name, "--workers", "1")["test_loss"] == pytest.approx(LOSS[name], rel=1e-5)


def test_an_old_run_goes_on_with_the_running_size_of_its_gaps(copied: Path):
    """The weight of the samples in it, the second column, nears 1 by the same factor with every push."""
    run = copied / "gap-aware"
    (before,) = state(run)["buffers"]["gap_state"]
    resume(run, "--workers", "1")
    (after,) = state(run)["buffers"]["gap_state"]
    decay = 0.999**MORE
    was, now = (values.reshape(-1, 3)[:2, 1] for values in (before, after))  # of two parameter tensors
    torch.testing.assert_close(now, decay * was + 1 - decay, rtol=1e-5, atol=0.0)
    assert was.min() > 0.01


@pytest.mark.parametrize("name", [*TRAINED, "simulated"])
def test_an_old_run_is_evaluated_and_exported(copied: Path, name: str, capsys: pytest.CaptureFixture[str]):
    run, ended = copied / name, summary(OLD / name)
    assert main(["eval", str(run), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["test_accuracy"] == ended["test_accuracy"]
    assert found["test_loss"] == pytest.approx(ended["test_loss"], rel=1e-5)
    assert main(["export", str(run), str(copied / "weights.pt")]) == 0
    data = load("digits")
    model = build_model("logistic", data)
    model.load_state_dict(torch.load(copied / "weights.pt", weights_only=True))
    inputs, targets = data.test.batch(torch.arange(len(data.test)), train=False)
    accuracy = (model(inputs).argmax(1) == targets).double().mean().item()
    assert accuracy == pytest.approx(ended["test_accuracy"])


def test_an_old_simulated_run_is_repeated_by_its_configuration(copied: Path):
    """Run as the first line of config.yaml states: virtual time and updates are those of the old run."""
    old = copied / "simulated"
    flags = ["--config", str(old / "config.yaml"), "--out", str(copied), "--name", "again"]
    assert main(["simulate", *flags]) == 0
    now, then = summary(copied / "again"), summary(old)
    for name in ("updates", "samples", "virtual_s", "delay", "delay_histogram", "messages", "moved_bytes"):
        assert now[name] == then[name], name
    assert now["test_loss"] == pytest.approx(then["test_loss"], rel=1e-4)
    assert now["gap_rms"] == pytest.approx(then["gap_rms"], rel=1e-4)


def test_an_old_comparison_is_not_run_again(copied: Path):
    """Its cells are found by their keys, and the table contains them."""
    folder = copied / "compare"
    flags = "--algorithms asgd,gap-aware --clocks round-robin --workers-list 3 --seeds 1 --model logistic --updates 50"
    assert main(["compare", *flags.split(), "--batch-size", "16", "--directory", str(folder)]) == 0
    assert not (folder / "runs").exists()
    assert (folder / "table.csv").read_bytes() == (OLD / "compare" / "table.csv").read_bytes()
    old, new = ((where / "table.md").read_text().splitlines() for where in (OLD / "compare", folder))
    assert set(old) <= set(new)
