"""Run directories that a stranger has made: links, code of their own, checkpoints of another model."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import attacks
import pytest
import torch

from hogwild import train
from hogwild.cli import main as command
from hogwild.drivers.checkpoints import store
from hogwild.system import THREAD_VARIABLES

RUN = Path("runs", "run")
LIMIT = ("--updates", "6", "--eval-every", "0", "--quiet")
SIMULATED = ("--clock", "gamma", *LIMIT)
PROCESS = ("--workers", "1", *LIMIT)
OWN = """
import pathlib, torch
pathlib.Path("imported").write_text("")
def model():
    return torch.nn.Linear(3, 2)
def data():
    x = torch.arange(36.0).reshape(12, 3)
    return (x, torch.arange(12) % 2), (x[:5], torch.arange(5) % 2)
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A finished run of registered names, and one of own code that another user has made."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(str(folder))
        patch.setenv("XDG_STATE_HOME", str(folder / "state of another"))
        for variable in THREAD_VARIABLES:
            patch.setenv(variable, "1")
        Path("stranger.py").write_text(OWN)
        assert train.main(["--name", "run", *PROCESS]) == 0
        own = ("--data", "stranger:data", "--model", "stranger:model", "--batch-size", "3")
        assert train.main(["--name", "own", *own, *PROCESS]) == 0
        yield folder


@pytest.fixture(autouse=True)
def _a_copy_of_them(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(runs / "runs", tmp_path / "runs", symlinks=True)
    shutil.copy(runs / "stranger.py", tmp_path / "stranger_here.py")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for variable in THREAD_VARIABLES:
        monkeypatch.setenv(variable, "1")


def resume(*flags: str) -> int:
    return train.main(["--resume", str(RUN), "--updates", "9", "--quiet", *flags])


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    text = capsys.readouterr().err
    assert text.startswith("hogwild: error: ")
    assert text.count("\n") == 1
    assert "\x1b" not in text
    return text


# --- links


@pytest.mark.parametrize(
    "name",
    ["config.yaml", "env.json", "metrics.jsonl", "summary.json", "log.txt", "pushes.csv", "schedule.jsonl", "workers",
     "workers/0.log", "ckpt", "plots", "ckpt/step-00000002", "ckpt/step-00000006/state.pt"],
)  # fmt: skip
def test_nothing_is_written_through_a_link(name, capsys):
    victim = Path("victim").absolute()
    path = RUN / name
    if path.is_dir():
        path.rename(victim)
    elif path.exists():
        path.replace(victim)
    else:
        victim.write_text("mine")
    path.symlink_to(victim)
    listing = sorted(p.name for p in victim.iterdir()) if victim.is_dir() else victim.read_bytes()
    assert resume() == 2
    assert f"{path} is a symbolic link" in one_line(capsys)
    assert (sorted(p.name for p in victim.iterdir()) if victim.is_dir() else victim.read_bytes()) == listing


@pytest.mark.parametrize("target", ["../../victim", "../run", "/", "last", "env.json"])
def test_the_last_checkpoint_lies_beside_its_link(target, capsys):
    shutil.copytree(RUN / "ckpt" / "step-00000006", "victim")
    (RUN / "ckpt" / "last").unlink()
    (RUN / "ckpt" / "last").symlink_to(target)
    assert command.main(["eval", str(RUN)]) == 5
    assert "no checkpoint beside it: it is not followed" in one_line(capsys)


@pytest.mark.parametrize("name", ["../../../victim", ".", "..", "/"])
def test_no_checkpoint_outside_the_run(name, capsys):
    assert command.main(["eval", str(RUN), "--ckpt", name]) == 5
    assert "there is no checkpoint" in one_line(capsys)


def test_a_second_name_is_no_place_to_append_to(capsys):
    os.link(RUN / "log.txt", "victim")
    before = Path("victim").read_bytes()
    assert resume() == 1
    assert "second name" in one_line(capsys)
    assert Path("victim").read_bytes() == before


def test_foreseen_temporary_names_are_not_used():
    for name in (".config.yaml.tmp", ".summary.json.tmp", "ckpt/.last.tmp", "ckpt/.step-00000009.tmp"):
        (RUN / name).write_text("here first")
    assert resume() == 0
    assert (RUN / ".config.yaml.tmp").read_text() == "here first"
    assert store.load(RUN / "ckpt").step == 9


def test_a_comparison_writes_through_no_link(capsys):
    Path("grid").mkdir()
    Path("grid", "table.md").symlink_to("../victim")
    arguments = ["--directory", "grid", "--algorithms", "asgd", "--workers-list", "2", "--seeds", "1", "--updates", "2"]
    assert command.main(["compare", *arguments]) == 2
    assert "grid/table.md is a symbolic link" in one_line(capsys)
    assert not Path("victim").exists()


# --- code of its own


def renamed(path: Path) -> None:
    """The stranger's module has a name of which nothing is imported yet."""
    for file in (path / "config.yaml", *path.glob("ckpt/step-*/manifest.json")):
        file.write_text(file.read_text().replace("stranger:", "stranger_here:"))


@pytest.mark.parametrize(
    "arguments",
    [["eval", "runs/own"], ["export", "runs/own", "out.pt"], ["train", "--resume", "runs/own", "--updates", "9"],
     ["train", "--config", "runs/own/config.yaml"], ["compare", "--config", "runs/own/config.yaml"]],
)  # fmt: skip
def test_code_of_a_stranger_waits_for_trust(arguments, capsys):
    renamed(Path("runs", "own"))
    assert command.main(arguments) == 2
    assert "--data stranger_here:data, --model stranger_here:model" in one_line(capsys)
    assert not Path("imported").exists()


@pytest.mark.parametrize("arguments", [["eval", "runs/run"], ["train", "--resume", "runs/run", "--updates", "9"]])
def test_an_algorithm_of_a_stranger_waits_for_trust(arguments, capsys):
    config = RUN / "config.yaml"
    config.write_text(config.read_text().replace("algorithm: asgd", "algorithm: stranger_here:model"))
    assert command.main(arguments) == 2
    assert "names code of its own (--algorithm stranger_here:model)" in one_line(capsys)
    assert not Path("imported").exists()


def test_trusted_once_it_is_this_users_run():
    renamed(Path("runs", "own"))
    flags = ["--resume", "runs/own", "--updates", "9", "--quiet"]
    assert train.main([*flags, "--trust"]) == 0
    assert Path("imported").exists()
    assert command.main(["eval", "runs/own"]) == 0
    renamed_again = Path("runs", "own", "config.yaml")
    renamed_again.write_text(renamed_again.read_text().replace("stranger_here:model", "os:abort"))
    assert command.main(["eval", "runs/own"]) == 2


def test_the_key_is_the_users_alone_and_a_run_made_here_needs_no_trust():
    own = ("--data", "stranger_here:data", "--model", "stranger_here:model", "--batch-size", "3")
    assert train.main(["--name", "mine", *own, *SIMULATED]) == 0
    key = Path("state", "hogwild", "key")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert len(key.read_bytes()) == 32
    assert command.main(["export", "runs/mine", "mine.pt"]) == 0
    assert torch.load("mine.pt", weights_only=True).keys() == {"weight", "bias"}


@pytest.mark.parametrize("state", ["/proc/nowhere", "blocked/state"])
def test_a_run_of_own_code_without_a_state_folder(state, monkeypatch, capsys):
    Path("blocked").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", state)
    own = ("--data", "stranger_here:data", "--model", "stranger_here:model", "--batch-size", "3")
    assert train.main(["--name", "mine", *own, *SIMULATED]) == 0
    assert command.main(["eval", "runs/mine"]) == 2
    assert "add --trust" in one_line(capsys)
    assert command.main(["eval", "runs/mine", "--trust"]) == 0


# --- checkpoints


def forge(**changes: object) -> None:
    """Changes the state of the last checkpoint, with the digest that belongs to it."""
    path = (RUN / "ckpt" / "last").resolve()
    state = {**torch.load(path / "state.pt", weights_only=True), **changes}
    torch.save({name: value for name, value in state.items() if value is not forge}, path / "state.pt")
    manifest = json.loads((path / "manifest.json").read_text())
    content = (path / "state.pt").read_bytes()
    manifest["files"]["state.pt"] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (path / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parameters": {"\x1b[2J": torch.ones(3)}}, "not one of this model"),
        ({"parameters": forge}, "it is not one of a run|parameters"),
        ({"module_buffers": "x"}, "'module_buffers' is 'x'"),
        ({"again": [None]}, r"'again' is \[None\]"),
        ({"version": 10**30}, "'version' is 1000"),
        ({"unheard_of": 1}, "'unheard_of' is not known"),
    ],
)
@pytest.mark.parametrize("doing", ["eval", "resume"])
def test_a_forged_state_is_refused_in_one_line(changes, message, doing, capsys):
    forge(**changes)
    assert (command.main(["eval", str(RUN)]) if doing == "eval" else resume()) == 5
    text = one_line(capsys)
    assert "the state in the checkpoint" in text
    assert "do not belong together" in text


def test_one_number_is_no_parameter(capsys):
    parameters = store.load(RUN / "ckpt").state["parameters"]
    forge(parameters={name: torch.ones(()) for name in parameters})
    assert command.main(["eval", str(RUN)]) == 5
    assert "a tensor [] where [" in one_line(capsys)


@pytest.mark.parametrize(
    ("old", "new"), [("algorithm: asgd", "algorithm: nag-asgd"), ("dtype: float32", "dtype: float64")]
)
def test_configuration_and_checkpoint_belong_together(old, new, capsys):
    config = RUN / "config.yaml"
    config.write_text(config.read_text().replace(old, new))
    for arguments in (["eval", str(RUN)], ["export", str(RUN), "out.pt"]):
        assert command.main(arguments) == 5
        assert f"{old.split(': ')[1]} -> {new.split(': ')[1]}" in one_line(capsys)


def test_a_checkpoint_of_another_model(capsys):
    manifest = RUN / "ckpt" / "last" / "manifest.json"
    facts = json.loads(manifest.read_text())
    facts["meta"]["model"] = {"0.weight": [7, 5]}
    manifest.write_text(json.dumps(facts))
    assert command.main(["export", str(RUN), "out.pt"]) == 5
    assert "0.weight [7,5] is only in the checkpoint" in one_line(capsys)


# --- the user's umask


@pytest.mark.parametrize(("umask", "file", "folder"), [(0o077, 0o600, 0o700), pytest.param(0o002, 0o664, 0o775, marks=pytest.mark.slow)])
def test_files_of_a_run_honour_the_umask(umask, file, folder):
    with attacks.command(Path().absolute(), *PROCESS, umask=umask) as process:
        assert process.wait(attacks.TIMEOUT_S) == 0
    for path in Path("run").rglob("*"):
        if not path.is_symlink():
            assert stat.S_IMODE(path.stat().st_mode) == (folder if path.is_dir() else file), path
