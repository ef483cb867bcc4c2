from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

import hogwild.tasks
from hogwild.algorithms import REGISTRY
from hogwild.cli import listing
from hogwild.cli import main as cli
from hogwild.config import Config
from hogwild.config.schedules import SCHEDULES
from hogwild.drivers.checkpoints import store as checkpoint
from hogwild.drivers.checkpoints.state import State
from hogwild.errors import CheckpointError, DataError
from hogwild.rules import Access
from hogwild.runs.directory import RunDirectory
from hogwild.tasks import build_model, load


def state(value: float) -> dict[str, object]:
    """A checkpoint as the driver saves it: digits, logistic regression, all weights `value`."""
    module = build_model("logistic", load("digits"))
    parameters = {name: torch.full_like(weights, value) for name, weights in module.named_parameters()}
    return State(parameters, {}, [{}], next=0, again=[], version=1, lr_max=0.1, steps=[1]).plain()


@pytest.fixture
def run() -> RunDirectory:
    run = RunDirectory.create(Config(name="a", model="logistic"))
    for step in (10, 20):
        checkpoint.save(run.ckpt, step, state(step), {})
    run.close()
    return run


def test_every_command_explains_itself(capsys):
    assert cli.main([]) == cli.main(["--help"]) == 0
    overview = capsys.readouterr().out
    for name in cli.COMMANDS:
        assert f"\n  {name} " in overview
        with pytest.raises(SystemExit) as end:
            cli.main([name, "--help"])
        assert end.value.code == 0
        assert f"usage: hogwild {name}" in capsys.readouterr().out


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("hogwild ")


def test_unknown_command(capsys):
    assert cli.main(["trian"]) == 2
    assert "hogwild: error: unknown command 'trian'. Did you mean 'train'?" in capsys.readouterr().err


@pytest.mark.usefixtures("driver")
def test_train_is_the_same_door(capsys):
    assert cli.main(["train", "--seed", "3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["seed"] == 3


def test_eval_asks_the_driver(run, monkeypatch, capsys):
    module = ModuleType("hogwild.drivers.instruments.evaluation")
    module.evaluate_checkpoint = lambda run, name, **_: {"run": run.path.name, "ckpt": name, "test_accuracy": 0.9}  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    assert cli.main(["eval", str(run.path), "--ckpt", "best", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"run": "a", "ckpt": "best", "test_accuracy": 0.9}
    assert cli.main(["eval", str(run.path)]) == 0
    assert "test_accuracy    0.9" in capsys.readouterr().out
    assert cli.main(["eval", "nowhere"]) == 2


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_export_is_a_plain_state_dict(run, capsys, suffix):
    pytest.importorskip("safetensors") if suffix == "safetensors" else None
    assert cli.main(["export", str(run.path), f"out.{suffix}"]) == 0
    assert f"out.{suffix}: 2 tensors, 650 values, step-00000020" in capsys.readouterr().out
    if suffix == "pt":
        weights = torch.load("out.pt", weights_only=True)
    else:
        from safetensors.torch import load_file

        weights = load_file("out.safetensors")
    module = build_model("logistic", load("digits"))
    module.load_state_dict(weights)
    assert all(bool((parameter == 20.0).all()) for parameter in module.parameters())
    assert cli.main(["export", str(run.path), f"out.{suffix}"]) == 2
    assert "out." + suffix + " exists: choose another name, or --overwrite" in capsys.readouterr().err
    assert cli.main(["export", str(run.path), f"out.{suffix}", "--overwrite", "--ckpt", "step-00000010"]) == 0
    assert not [path for path in Path().iterdir() if path.name.startswith(".out")]


def test_unsupported_exports_are_refused(run, monkeypatch, capsys):
    assert cli.main(["export", str(run.path), "out.onnx"]) == 2
    assert "export knows .pt and .safetensors, not '.onnx'" in capsys.readouterr().err
    assert cli.main(["export", str(run.path), "nowhere/out.pt"]) == 2
    assert "cannot write nowhere/out.pt: No such file or directory" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    assert cli.main(["export", str(run.path), "out.safetensors"]) == 2
    assert "pip install safetensors, or export to OUT.pt" in capsys.readouterr().err
    Path(run.ckpt / "last" / "state.pt").write_bytes(b"")
    assert cli.main(["export", str(run.path), "out.pt"]) == CheckpointError.exit_code
    assert "Newest good one: step-00000010" in capsys.readouterr().err


def test_list_shows_all_that_has_a_name(capsys):
    assert cli.main(["list"]) == 0
    out = capsys.readouterr().out
    for name in (*REGISTRY, *hogwild.tasks.DATASETS, *hogwild.tasks.MODELS, *SCHEDULES, *(a.value for a in Access)):
        assert f"  {name} " in out
    assert "--gap-decay" in out
    assert cli.main(["list", "data"]) == 0
    assert capsys.readouterr().out.splitlines()[0].startswith("digits ")
    assert cli.main(["list", "dat"]) == 2
    assert set(listing.ACCESS) == set(Access)


def test_data_list_check_and_get(capsys):
    assert cli.main(["data", "list", "digits"]) == 0
    assert "digits: 1,797 hand-written digits" in capsys.readouterr().out
    assert cli.main(["data", "check", "digits"]) == 0
    assert "1,437 training and 360 test samples" in capsys.readouterr().out
    assert cli.main(["data", "get", "digits"]) == 0
    assert capsys.readouterr().out.startswith("digits: ")
    assert cli.main(["data", "get"]) == 2
    assert "get which data set?" in capsys.readouterr().err
    assert cli.main(["data", "check", "didgits"]) == 2
    assert "Did you mean 'digits'?" in capsys.readouterr().err


def test_data_that_is_missing(monkeypatch, capsys):
    monkeypatch.setenv("HOGWILD_OFFLINE", "1")
    monkeypatch.setenv("HOME", str(Path.cwd()))
    monkeypatch.delenv("HOGWILD_DATA", raising=False)
    assert cli.main(["data", "check", "a9a"]) == DataError.exit_code
    assert "a9a              BAD " in capsys.readouterr().out
    assert cli.main(["data", "check"]) == 0, "without a name it is a survey"
    capsys.readouterr()
    assert cli.main(["data", "get", "a9a"]) == DataError.exit_code
    assert capsys.readouterr().err.startswith("hogwild: error: ")
