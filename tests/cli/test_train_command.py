from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from hogwild import system, train
from hogwild.errors import DataError, DivergedError, HogwildError, Interrupted, TooFewWorkersError, UsageError
from hogwild.runs.directory import RunDirectory


def the_run() -> RunDirectory:
    (path,) = Path("runs").iterdir()
    return RunDirectory.open(path)


def raising(error: BaseException):
    def then() -> NoReturn:
        raise error

    return then


@pytest.mark.usefixtures("driver")
def test_a_run_is_written_and_told(capsys):
    assert train.main(["--workers", "1"]) == 0
    run = the_run()
    summary = run.read_summary()
    for key in ("algorithm", "data", "model", "workers", "device", "access", "seed", "updates", "samples", "wall_s"):
        assert key in summary
    assert (summary["exit_reason"], summary["test_accuracy"], summary["delay"]["p95"]) == ("done", 0.958, 1)
    captured = capsys.readouterr()
    starting, first, last = captured.out.splitlines()
    assert starting == "hogwild: starting digits, mlp, asgd, 1 workers"
    assert first.startswith("hogwild run: digits, mlp, algorithm=asgd, workers=1 x 1 thread, device=auto, lr=0.1,")
    assert first.endswith(f"-> {run.path}")
    assert last == (
        f"done in 1.5 s: test accuracy 0.958, train loss 0.031, 1.92 k samples/s, delay mean 1 p95 1 max 3, {run.path}"
    )
    assert "hogwild: warning: worker 1 was slow" in captured.err
    assert "accuracy 0.958" in captured.err
    assert "worker 1 was slow" in (run.path / "log.txt").read_text()


@pytest.mark.usefixtures("driver")
def test_json_is_exactly_one_object_on_stdout(capsys):
    assert train.main(["--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed.pop("run") == str(the_run().path)
    assert printed == the_run().read_summary()


@pytest.mark.usefixtures("driver")
def test_quiet_prints_warnings_only(capsys):
    assert train.main(["--quiet", "--workers", "1"]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "hogwild: warning: worker 1 was slow\n"


def test_threads_are_set_before_the_driver_runs(driver, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    seen = []
    driver.then = lambda: seen.append(os.environ["OMP_NUM_THREADS"])
    train.main([])
    assert seen == ["1"]


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (DivergedError("worker 3: loss is NaN at step 412", summary={"updates": 412}), 3, "diverged"),
        (TooFewWorkersError("1 worker left", summary={"updates": 412}), 4, "too_few_workers"),
        (Interrupted("interrupted after checkpoint step-00000412", summary={"updates": 412}), 130, "interrupted"),
    ],
)
@pytest.mark.parametrize("as_json", [True, False])
def test_a_run_that_ends_badly_keeps_its_summary(driver, capsys, error, code, reason, as_json):
    driver.then = raising(error)
    assert train.main(["--json"] if as_json else []) == code
    summary = the_run().read_summary()
    assert (summary["exit_reason"], summary["updates"], summary["algorithm"]) == (reason, 412, "asgd")
    captured = capsys.readouterr()
    assert str(error) in captured.err.splitlines()[-1]
    if as_json:
        assert json.loads(captured.out)["exit_reason"] == reason
    else:
        assert ("continue with: hogwild train --resume" in captured.out) == (reason != "diverged")


@pytest.mark.parametrize("error", [UsageError("too few samples\nfor 8 workers"), DataError("file is damaged")])
def test_a_request_that_never_started_leaves_no_directory(driver, capsys, error):
    driver.then = raising(error)
    assert train.main([]) == error.exit_code
    assert not list(Path("runs").iterdir())
    assert capsys.readouterr().err.splitlines()[-1] == f"hogwild: error: {' '.join(str(error).split())}"


def test_an_unexpected_error_keeps_its_traceback_and_is_on_record(driver):
    driver.then = raising(RuntimeError("a bug"))
    with pytest.raises(RuntimeError, match="a bug"):
        train.main([])
    summary = the_run().read_summary()
    assert (summary["exit_reason"], summary["error"]) == ("failed", "RuntimeError: a bug")


def test_ctrl_c_before_the_driver_listens(driver, capsys):
    driver.then = raising(KeyboardInterrupt())
    assert train.main([]) == 130
    assert "hogwild: interrupted" in capsys.readouterr().err


@pytest.mark.usefixtures("driver")
def test_too_many_workers_are_warned_of(capsys, monkeypatch):
    monkeypatch.setattr(system, "cores", lambda: system.Cores(64, 2, None))
    assert train.main(["--workers", "8"]) == 0
    message = "hogwild: warning: 8 workers x 1 thread on 2 usable cores (affinity mask; machine has 64): expect slow"
    assert message in capsys.readouterr().err


@pytest.mark.usefixtures("driver")
def test_a_second_run_of_that_name_is_refused(capsys):
    assert train.main(["--name", "a"]) == 0
    assert train.main(["--name", "a"]) == 2
    assert "runs/a already holds a finished run. Choose another --name" in capsys.readouterr().err
    assert train.main(["--name", "a", "--overwrite"]) == 0


def test_resume_goes_on_in_the_same_directory(driver, capsys):
    assert train.main(["--name", "a", "--epochs", "2", "--algorithm", "shifted"]) == 0
    assert train.main(["--resume", "runs/a", "--epochs", "4", "--workers", "3"]) == 0
    assert [path.name for path in Path("runs").iterdir()] == ["a"]
    again = driver.configs[-1]
    assert (again.resume, again.algorithm, again.epochs, again.workers) == ("runs/a", "shifted", 4.0, 3)
    assert (Path("runs/a/metrics.jsonl")).read_text().count('"event": ') == 2
    assert the_run().config().workers == 3
    assert "hogwild resume: digits" in capsys.readouterr().out


@pytest.mark.parametrize("argv", [["--device", "cuda"], ["--master", "cuda:0"]])
def test_cuda_is_not_replaced_silently(driver, capsys, monkeypatch, argv):
    import torch

    monkeypatch.setattr(torch.version, "cuda", None)
    assert train.main(argv) == 2
    expected = f"{' '.join(argv)}: this torch ({torch.__version__}) was built without CUDA. Use --device cpu"
    assert expected in capsys.readouterr().err
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert train.main(argv) == 2
    assert "no GPU visible (CUDA_VISIBLE_DEVICES='')" in capsys.readouterr().err
    assert driver.configs == []


@pytest.mark.usefixtures("driver")
def test_a_gpu_that_does_not_exist(capsys, monkeypatch):
    import torch

    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert train.main(["--device", "cuda", "--master", "cuda:2"]) == 2
    assert "--master cuda:2: there are only 2 GPUs" in capsys.readouterr().err
    assert train.main(["--device", "cuda", "--master", "cuda:1"]) == 0


def test_exit_codes():
    codes = {kind.__name__: kind.exit_code for kind in HogwildError.__subclasses__()}
    assert codes == {
        "OwnCodeError": 1,
        "UsageError": 2,
        "DivergedError": 3,
        "TooFewWorkersError": 4,
        "DataError": 5,
        "CheckpointError": 5,
        "Interrupted": 130,
    }


def test_the_first_line_comes_before_all_that_takes_seconds():
    """Here torch and NumPy cannot be imported at all. `train` begins in the same way, and starts a process for it."""
    code = (
        "import sys; sys.modules['torch'] = sys.modules['numpy'] = None\n"
        "from hogwild.cli.main import main\n"
        "main(['simulate', '--workers', '3'])\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60)
    assert done.stdout == "hogwild: starting digits, mlp, asgd, 3 workers\n"
    assert "ModuleNotFoundError: import of" in done.stderr


def test_the_last_line_says_where_page_and_checkpoints_are(driver, capsys):
    def save() -> None:
        (the_run().ckpt / "step-00000090").mkdir()

    driver.then = save
    assert train.main(["--workers", "1"]) == 0
    run = the_run().path
    assert capsys.readouterr().out.splitlines()[-1] == f"page: hogwild report {run}; checkpoints: {run / 'ckpt'}"
