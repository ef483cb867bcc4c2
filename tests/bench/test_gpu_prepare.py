"""What is carried to a GPU: its parts, its limit of size, and the rehearsal of both plans."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from bench.gpu import prepare


@pytest.fixture
def carried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another folder than the source tree's."""
    monkeypatch.setattr(prepare, "ROOT", tmp_path)
    monkeypatch.setattr(prepare, "CARRIED", tmp_path / "build/carried")
    return tmp_path


class Commands:
    """Stands for subprocess.run: keeps the commands, and ends those of a plan with `code`."""

    def __init__(self, code: int = 0) -> None:
        self.seen: list[list[str]] = []
        self.settings: list[dict[str, str]] = []
        self.code = code

    def __call__(self, command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        self.seen.append(list(map(str, command)))
        self.settings.append(options.get("env", {}))
        return subprocess.CompletedProcess(command, self.code if "--plan" in command else 0, ".cpython-312-x.so\n")


def test_the_module_is_built_for_one_architecture_and_the_python_that_is_named(
    carried: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = Commands()
    monkeypatch.setattr(subprocess, "run", commands)
    assert prepare.build("/opt/python3.12") == carried / "hogwild/_C.cpython-312-x.so"
    assert all(command[0] == "/opt/python3.12" for command in commands.seen)
    assert "--inplace" in commands.seen[-1]
    assert (commands.settings[-1]["HOGWILD_CUDA"], commands.settings[-1]["HOGWILD_CUDA_ARCHS"]) == ("1", "90a")


def test_the_data_set_is_copied_and_may_be_missing(
    carried: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (carried / "data/fashion_mnist").mkdir(parents=True)
    (carried / "data/fashion_mnist/train.gz").write_bytes(b"images")
    monkeypatch.setenv("HOGWILD_DATA", str(carried / "data"))
    (copy,) = prepare.data()
    assert copy == carried / "build/carried/fashion_mnist"
    assert (copy / "train.gz").read_bytes() == b"images"
    monkeypatch.setenv("HOGWILD_DATA", str(carried))
    assert prepare.data() == []
    assert "the trainer will take the digits" in capsys.readouterr().out


def test_too_much_is_refused(carried: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (carried / "folder").mkdir()
    for name in ("module", "folder/images"):
        (carried / name).write_bytes(bytes(700))
    paths = [carried / "module", carried / "folder"]
    monkeypatch.setattr(prepare, "MOST_BYTES", 1400)
    prepare.weigh(paths)
    monkeypatch.setattr(prepare, "MOST_BYTES", 1399)
    with pytest.raises(ValueError, match=r"0\.0 MiB are to be carried, and 0 MiB are the limit"):
        prepare.weigh(paths)


def test_both_plans_are_played_into_one_folder(
    carried: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = Commands()
    monkeypatch.setattr(subprocess, "run", commands)
    prepare.play("python")
    out = str(carried / "build/carried/dry")
    plans = [command[-4:] for command in commands.seen if "--plan" in command]
    assert plans == [["--plan", name, "--out", out] for name in ("first", "second")]
    assert "plan second: 0 s of 240 s as a dry run" in capsys.readouterr().out
    clock = iter([0.0, 299.0, 299.0, 540.0])
    monkeypatch.setattr(prepare.time, "monotonic", lambda: next(clock))
    with pytest.raises(ValueError, match="plan second took 241 s, and 240 s are the limit"):
        prepare.play("python")


def test_a_rehearsal_that_fails_is_told_in_one_line(
    carried: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(subprocess, "run", Commands(code=1))
    monkeypatch.setattr(prepare, "build", lambda _: carried)
    monkeypatch.setattr(prepare, "weigh", lambda _: None)
    monkeypatch.setenv("HOGWILD_DATA", str(carried))
    assert prepare.prepare("python") == 1
    assert capsys.readouterr().err == ("bench.gpu: the dry run of plan first failed: see build/carried/dry/log.txt\n")
