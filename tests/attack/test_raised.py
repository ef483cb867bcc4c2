"""What the user's own code raises is told in one line: type, message, its last place in a file of theirs, the log."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import own_code
import pytest

import hogwild
from hogwild.drivers.checkpoints import store as checkpoint
from hogwild.errors import OwnCodeError, TooFewWorkersError
from hogwild.own_code import told
from hogwild.tasks import Data, TensorSplit

PLACE = r"RuntimeError: out of ideas \(.*own_code\.py:\d+: raise RuntimeError\(.*\)\); traceback in "


@pytest.fixture(autouse=True)
def _in_a_directory_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)


def fit(model: Any, data: Any = None, **options: Any) -> hogwild.Result:
    values = {"epochs": 2, "batch_size": 5, "lr": 0.05, "takeover": False, "out": "runs", "name": "run", **options}
    return hogwild.fit(model, data or own_code.data(), **values)


def test_in_a_worker(capsys):
    assert fit(own_code.fails_in_one_worker).summary["faults"] == 1
    [line] = [line for line in capsys.readouterr().err.splitlines() if "out of ideas" in line]
    assert f"RuntimeError: out of ideas ({own_code.__file__}:" in line
    assert "raise RuntimeError(self.message)); traceback in runs/run/workers/1.log: 1 of 2 continue" in line
    log = Path("runs/run/workers/1.log").read_text()
    assert "Traceback (most recent call last)" in log
    assert "hogwild/drivers/processes/worker.py" in log


def test_in_all_workers_and_in_an_own_loop():
    with pytest.raises(TooFewWorkersError, match=PLACE + r"runs/run/workers/\d\.log"):
        fit(own_code.net, algorithm=own_code.Raises)
    with pytest.raises(TooFewWorkersError, match=r"own loop failed \(.*own_code\.py:\d+: raise RuntimeError"):
        hogwild.launch(own_code.fail_after_five, own_code.Count, workers=2, lr=1.0, min_workers=2)


@pytest.mark.parametrize(
    ("model", "options"), [(own_code.fails_in_all_workers, {}), (own_code.net, {"algorithm": own_code.Raises})]
)
def test_in_a_simulated_run(model: Any, options: dict[str, Any]):
    with pytest.raises(OwnCodeError, match=PLACE + "runs/run/log.txt") as caught:
        fit(model, clock="round-robin", **options)
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert "Traceback (most recent call last)" in Path("runs/run/log.txt").read_text()


@pytest.mark.parametrize("clock", [None, "round-robin"])
def test_in_an_evaluation_which_ends_the_run_in_order(clock: str | None):
    """The parent evaluates, in both drivers; the first call is the trial before the run."""
    train, test = own_code.data()
    data = Data("late", TensorSplit(*train), TensorSplit(*test), (6,), 3, "vector", score=own_code.FailsLater(2))
    with pytest.raises(OwnCodeError) as caught:
        fit(own_code.net, data, clock=clock)
    assert "the evaluation failed: ZeroDivisionError:" in str(caught.value)
    assert f"({own_code.__file__}:" in str(caught.value)
    assert "self.calls)), len(target)" not in str(caught.value)
    assert "self.calls), len(target)); traceback in runs/run/log.txt" in str(caught.value)
    assert "Traceback (most recent call last)" in Path("runs/run/log.txt").read_text()
    summary = json.loads(Path("runs/run/summary.json").read_text())
    assert summary["exit_reason"] == "failed"
    assert checkpoint.load(Path("runs/run/ckpt")).step == summary["updates"] > 0


def test_the_place_is_the_last_one_in_a_file_of_the_user(tmp_path: Path):
    (tmp_path / "mine.py").write_text("import json\n\ndef read():\n    return json.loads('{')\n")
    spec = importlib.util.spec_from_file_location("mine", tmp_path / "mine.py")
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    assert spec.loader is not None
    spec.loader.exec_module(module)
    with pytest.raises(json.JSONDecodeError) as caught:
        module.read()
    assert told(caught.value).endswith(f"(char 1) ({tmp_path / 'mine.py'}:4: return json.loads('{{'))")


def test_any_exception_can_be_told():
    class Unprintable(Exception):
        def __str__(self) -> str:
            raise ValueError

    assert told(Unprintable()) == "Unprintable"
    assert told(ValueError("a\n  b " + "c" * 1000)).startswith("ValueError: a b ccc")
    assert len(told(ValueError("c" * 1000))) < 400
