"""Resuming a run: it continues exactly from its checkpoint, or is refused."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import own_code
import pytest
import torch

from hogwild import train
from hogwild.drivers.checkpoints import store as checkpoint
from hogwild.system import THREAD_VARIABLES

PATH = Path("runs", "run")


@pytest.fixture(autouse=True)
def _in_a_directory_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for variable in THREAD_VARIABLES:
        monkeypatch.setenv(variable, "1")


def run(*flags: object) -> int:
    return train.main([*map(str, flags), "--quiet"])


def test_resume_is_bit_equal_with_batch_normalisation_and_dropout():
    flags = (
        "--data",
        f"{own_code.__name__}:data",
        "--model",
        f"{own_code.__name__}:normalised",
        "--batch-size",
        8,
        "--workers",
        1,
    )
    assert run(*flags, "--name", "whole", "--epochs", 4) == 0
    assert run(*flags, "--name", "half", "--epochs", 2) == 0
    assert run("--resume", "runs/half", "--epochs", 4) == 0
    whole, resumed = (checkpoint.load(Path("runs", name, "ckpt")).state for name in ("whole", "half"))
    for there, here in (
        (whole["parameters"], resumed["parameters"]),
        (whole["module_buffers"][0], resumed["module_buffers"][0]),
    ):
        assert there.keys() == here.keys()
        assert all(torch.equal(there[name], here[name]) for name in there)


def test_a_refused_resume_changes_nothing_and_the_best_stays_the_best(capsys):
    assert run("--name", "run", "--epochs", 8) == 0
    before = {path.name: path.read_bytes() for path in (PATH).glob("*.[yj]*") if path.name != "metrics.jsonl"}
    best = checkpoint.meta(PATH / "ckpt", "best")["score"]
    assert run("--resume", PATH, "--epochs", 9, "--workers", 4000) == 2
    assert "some workers would get none" in capsys.readouterr().err
    assert {name: (PATH / name).read_bytes() for name in before} == before
    assert run("--resume", PATH, "--epochs", 9, "--lr", 20, "--on-nonfinite", "skip") in (0, 3)
    assert checkpoint.meta(PATH / "ckpt", "best")["score"] == best


def test_a_run_that_ended_before_its_first_checkpoint_can_be_resumed(capsys):
    assert run("--name", "run", "--epochs", 2) == 0
    shutil.rmtree(PATH / "ckpt")
    (PATH / "ckpt").mkdir()
    assert run("--resume", PATH, "--epochs", 3) == 0
    assert "starting from the beginning" in capsys.readouterr().err
    assert json.loads((PATH / "summary.json").read_text())["samples"] == 3 * 1437
