from __future__ import annotations

import errno
import json
import os
import pickle
import shutil
import sys
from pathlib import Path

import pytest
import torch
import warm

from hogwild.drivers.checkpoints import contents
from hogwild.drivers.checkpoints import store as checkpoint
from hogwild.errors import CheckpointError

META = {"samples": 320, "algorithm": "asgd", "workers": 2, "model": {"w": [2, 3]}}
ROOT = Path(__file__).parents[2]


def state(value: float = 1.0) -> dict[str, object]:
    return {
        "model": {"w": torch.full((2, 3), value), "b": torch.arange(3, dtype=torch.float64)},
        "workers": [{"pushes": 3, "rng": torch.get_rng_state()}, {"pushes": 4, "name": "one"}],
        "lr_max": 0.1,
        "none": None,
    }


@pytest.fixture
def folder() -> Path:
    return Path("runs/a/ckpt")


def test_a_saved_state_is_loaded_unchanged(folder):
    path = checkpoint.save(folder, 1000, state(2.5), META)
    assert path == folder / "step-00001000"
    found = checkpoint.load(folder)
    assert (found.name, found.step, found.samples, found.meta) == ("step-00001000", 1000, 320, META)
    assert torch.equal(found.state["model"]["w"], torch.full((2, 3), 2.5))
    assert found.state["model"]["b"].dtype == torch.float64
    assert torch.equal(found.state["workers"][0]["rng"], torch.get_rng_state())
    assert (found.state["workers"][1], found.state["lr_max"]) == ({"pushes": 4, "name": "one"}, 0.1)


@pytest.mark.parametrize("exchanges", [True, False])
def test_a_copy_that_followed_the_links_is_saved_into(folder, monkeypatch, exchanges):
    """As scp -r makes it: what `last` and `best` pointed to lies there as a directory, beside the checkpoint or not."""
    if not exchanges:
        monkeypatch.setattr(checkpoint, "exchange", lambda *_: False)
    checkpoint.save(folder, 1, state(1.0), META, best=True)
    checkpoint.save(folder, 2, state(2.0), META)
    copy = folder.parent / "copy"
    shutil.copytree(folder, copy)
    shutil.rmtree(copy / "step-00000001")
    assert [(copy / link).is_symlink() for link in ("last", "best")] == [False, False]
    checkpoint.save(copy, 3, state(3.0), META, keep=1)
    assert (os.readlink(copy / "last"), os.readlink(copy / "best")) == ("step-00000003", "step-00000001")
    assert sorted(path.name for path in copy.iterdir()) == ["best", "last", "step-00000001", "step-00000003"]
    for name, value in (("last", 3.0), ("best", 1.0)):
        assert torch.equal(checkpoint.load(copy, name).state["model"]["w"], torch.full((2, 3), value))


def test_the_manifest_describes_the_files(folder):
    path = checkpoint.save(folder, 5, state(), META)
    manifest = json.loads((path / "manifest.json").read_text())
    assert (manifest["format"], manifest["step"], manifest["samples"], manifest["consistent"]) == (1, 5, 320, True)
    assert manifest["files"]["state.pt"]["bytes"] == (path / "state.pt").stat().st_size
    assert sorted(p.name for p in path.iterdir()) == ["manifest.json", "state.pt"]


def test_a_view_is_saved_without_the_buffer_behind_it(folder):
    flat = torch.rand(1_000_000)
    path = checkpoint.save(folder, 1, {"x": flat[10:20]}, {})
    assert (path / "state.pt").stat().st_size < 10_000
    assert torch.equal(checkpoint.load(folder).state["x"], flat[10:20])


def test_saving_leaves_the_state_alone(folder):
    weights = torch.rand(5, requires_grad=True)
    before = weights.detach().clone()
    checkpoint.save(folder, 1, {"x": weights}, {})
    assert weights.requires_grad
    assert torch.equal(weights, before)


def test_last_and_best_and_pruning(folder):
    for step in range(1, 7):
        checkpoint.save(folder, step, state(step), META, keep=2, best=step == 2)
    assert checkpoint.names(folder) == ["step-00000002", "step-00000005", "step-00000006"]
    assert checkpoint.load(folder, "last").step == 6
    assert checkpoint.load(folder, "best").step == 2
    assert checkpoint.load(folder, "step-00000005").step == 5
    assert os.readlink(folder / "last") == "step-00000006"


def test_the_same_step_again_replaces_it(folder):
    checkpoint.save(folder, 3, state(1.0), META)
    checkpoint.save(folder, 3, state(9.0), META)
    assert checkpoint.load(folder).state["model"]["w"][0, 0] == 9.0
    assert sorted(p.name for p in folder.iterdir()) == ["last", "step-00000003"]


def test_missing_checkpoints_are_named(folder):
    with pytest.raises(CheckpointError, match=r"there is no checkpoint runs/a/ckpt/last\. Known: none\. No other"):
        checkpoint.load(folder)
    checkpoint.save(folder, 3, state(), META)
    with pytest.raises(CheckpointError, match=r"Known: step-00000003\. Newest good one: step-00000003"):
        checkpoint.load(folder, "step-9")


def truncate(path: Path) -> None:
    os.truncate(path / "state.pt", 100)


def flip(path: Path) -> None:
    data = bytearray((path / "state.pt").read_bytes())
    data[len(data) // 2] ^= 1
    (path / "state.pt").write_bytes(data)


def lose_state(path: Path) -> None:
    (path / "state.pt").unlink()


def lose_manifest(path: Path) -> None:
    (path / "manifest.json").unlink()


def halve_manifest(path: Path) -> None:
    os.truncate(path / "manifest.json", 40)


def empty_manifest(path: Path) -> None:
    (path / "manifest.json").write_text("[]")


def future_manifest(path: Path) -> None:
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps({**manifest, "format": 99}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncate, r"step-00001000/state.pt: checksum differs from manifest \(file is 100 bytes, exp.*disk full\?\)"),
        (flip, r"state.pt: checksum differs from manifest \(file is ([\d,]+) bytes, expected \1\)"),
        (lose_state, r"state.pt: missing"),
        (lose_manifest, r"cannot read .*manifest.json: No such file"),
        (halve_manifest, r"manifest.json is not .*cannot be verified|manifest.json is not valid JSON"),
        (empty_manifest, r"manifest.json is not .*cannot be verified|manifest.json is not valid JSON"),
        (future_manifest, r"manifest.json: format 99, this version of hogwild reads format 1"),
    ],
)
def test_damage_is_found_and_the_newest_good_one_is_named(folder, damage, message):
    checkpoint.save(folder, 600, state(), META)
    checkpoint.save(folder, 800, state(), META)
    damage(checkpoint.save(folder, 1000, state(), META))
    with pytest.raises(CheckpointError, match=message) as caught:
        checkpoint.load(folder)
    assert str(caught.value).endswith("Newest good one: step-00000800: --resume runs/a --ckpt step-00000800.")
    assert caught.value.exit_code == 5
    assert checkpoint.load(folder, "step-00000800").step == 800


class Malicious:
    def __reduce__(self):
        return (os.mkdir, ("executed",))


@pytest.mark.parametrize("write", [torch.save, lambda payload, path: path.write_bytes(pickle.dumps(payload, 2))])
def test_loading_executes_no_code_even_with_a_matching_checksum(folder, write):
    path = checkpoint.save(folder, 1, state(), META)
    write({"model": Malicious()}, path / "state.pt")
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["files"]["state.pt"] = {
        "bytes": (path / "state.pt").stat().st_size,
        "sha256": contents.sha256(path / "state.pt"),
    }
    (path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match="is not a state of tensors, numbers and texts; it is not loaded"):
        checkpoint.load(folder)
    assert not Path("executed").exists()


@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_a_write_that_fails_leaves_the_older_one_and_no_trace(folder, monkeypatch, call):
    checkpoint.save(folder, 1, state(1.0), META)

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(*((os, "fsync") if call == "fsync" else (Path, "rename")), fail)
        with pytest.raises(CheckpointError, match=r"step-00000002: No space left on device \([\d,]+ MB free\)"):
            checkpoint.save(folder, 2, state(2.0), META)
    assert sorted(p.name for p in folder.iterdir()) == ["last", "step-00000001"]
    assert checkpoint.load(folder).state["model"]["w"][0, 0] == 1.0


def test_a_file_system_that_is_really_full():
    code = (
        "import resource, signal, torch\n"
        "from pathlib import Path\n"
        "from hogwild import errors\n"
        "from hogwild.drivers.checkpoints import store as checkpoint\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "folder = Path('ckpt')\n"
        "checkpoint.save(folder, 1, {'x': torch.ones(10)}, {})\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
        "try: checkpoint.save(folder, 2, {'x': torch.ones(1 << 20)}, {})\n"
        "except errors.CheckpointError as error: print(error)\n"
        "print(checkpoint.load(folder).step, sorted(p.name for p in folder.iterdir()))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = warm.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 0, done.stderr
    message, rest = done.stdout.splitlines()
    assert message.startswith("cannot write checkpoint ckpt/step-00000002: ")
    assert rest == "1 ['last', 'step-00000001']"


def test_leftovers_of_a_crash_are_removed(folder):
    half = folder / ".step-00000007.tmp"
    half.mkdir(parents=True)
    (half / "state.pt").write_bytes(b"half")
    (folder / ".last.tmp").symlink_to("nowhere")
    checkpoint.save(folder, 8, state(), META)
    assert sorted(p.name for p in folder.iterdir()) == ["last", "step-00000008"]
