from __future__ import annotations

import dataclasses
import errno
import json
import math
import os
from pathlib import Path

import pytest

from hogwild.config import Config
from hogwild.errors import CheckpointError, DivergedError, UsageError
from hogwild.runs.directory import RunDirectory
from hogwild.runs.files import to_json


def finished(**values: object) -> RunDirectory:
    run = RunDirectory.create(Config.from_values({"name": "a", **values}))
    run.journal.event("train", loss=0.5)
    run.summary({"exit_reason": "done"})
    run.close()
    return run


def lines(run: RunDirectory) -> list[dict[str, object]]:
    return [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]


def test_contents_of_a_new_run_directory():
    config = Config(seed=7, data="digits")
    run = RunDirectory.create(config)
    assert run.path.parent == Path("runs")
    assert run.path.name.endswith("_digits_asgd")
    assert {p.name for p in run.path.iterdir()} == {"config.yaml", "env.json", "workers", "ckpt", "plots"}
    assert run.config() == config
    environment = json.loads((run.path / "env.json").read_text())
    assert environment["seed"] == 7
    for fact in ("hogwild", "python", "packages", "extension", "host", "cores", "command", "git", "threads"):
        assert fact in environment
    assert run.worker_log(3) == run.path / "workers" / "3.log"


def test_own_code_gives_a_plain_directory_name():
    config = Config()
    object.__setattr__(config, "data", "pkg.my/module:make data")
    assert RunDirectory.create(config).path.name.endswith("_pkg.my-module-make-data_asgd")


def test_two_runs_in_one_second_get_two_directories():
    runs = [RunDirectory.create(Config()) for _ in range(3)]
    assert len({run.path for run in runs}) == 3


def test_metrics_are_one_json_object_a_line_at_once():
    run = RunDirectory.create(Config())
    run.journal.event("train", loss=0.25, samples=10)
    run.journal.event("fault", worker=1, loss=math.nan, gap=[1.0, -math.inf], what=Path("x"))
    opening, first, second = lines(run)
    assert (opening["kind"], opening["event"], opening["schema"], opening["clock"]) == ("run", "started", 2, "wall")
    assert (first["kind"], first["loss"], first["samples"]) == ("train", 0.25, 10)
    assert (second["kind"], second["loss"], second["gap"], second["what"]) == ("fault", None, [1.0, None], "x")
    assert 0 <= first["time"] <= second["time"]


def test_tensors_become_numbers():
    import torch

    assert to_json({"loss": torch.tensor(0.5), 3: (1, True, None)}) == '{"loss": 0.5, "3": [1, true, null]}'
    assert to_json([torch.ones(1, 1), torch.tensor([0.5, math.inf])]) == "[1.0, [0.5, null]]"


def test_summary_is_replaced_whole():
    run = RunDirectory.create(Config())
    assert run.read_summary() == {}
    run.summary({"updates": 1})
    run.summary({"updates": 2, "gap_rms": math.inf})
    assert run.read_summary() == {"updates": 2, "gap_rms": None}
    assert not list(run.path.glob(".*"))


def test_a_finished_run_is_not_trained_over():
    run = finished()
    with pytest.raises(UsageError) as caught:
        RunDirectory.create(Config(name="a"))
    assert str(caught.value) == (
        "runs/a already holds a finished run. Choose another --name, or --resume runs/a, or --overwrite."
    )
    (run.path / "summary.json").unlink()
    with pytest.raises(UsageError, match="already holds an unfinished run"):
        RunDirectory.create(Config(name="a"))


def test_overwrite_replaces_a_run():
    old = finished()
    run = RunDirectory.create(Config(name="a", overwrite=True))
    assert run.path == old.path
    assert not (run.path / "metrics.jsonl").exists()
    assert run.config().overwrite is False


@pytest.mark.parametrize("name", ["thesis", "almost"])
def test_overwrite_leaves_what_is_not_a_run_alone(name):
    Path("runs", name).mkdir(parents=True)
    Path("runs", name, "config.yaml").write_text("important: true")
    Path("runs", name, "env.json").write_text("[]" if name == "almost" else '{"other": 1}')
    with pytest.raises(UsageError, match=f"runs/{name} exists and is not a run of hogwild: it is left alone"):
        RunDirectory.create(Config(name=name, overwrite=True))
    assert Path("runs", name, "config.yaml").read_text() == "important: true"


@pytest.mark.parametrize("files", [[], ["config.yaml"], ["config.yaml", ".env.json.0123456789abcdef.tmp"]])
def test_overwrite_replaces_a_run_that_was_killed_as_it_began(files):
    for folder in ("workers", "ckpt", "plots"):
        Path("runs/a", folder).mkdir(parents=True)
    for name in files:
        Path("runs/a", name).write_text("x: 1")
    run = RunDirectory.create(Config(name="a", overwrite=True))
    assert run.config().name == "a"
    run.close()
    (run.path / "env.json").unlink()
    (run.path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="is left alone"):
        RunDirectory.create(Config(name="a", overwrite=True))


def test_overwrite_does_not_follow_a_link():
    finished()
    Path("runs/link").symlink_to("a")
    with pytest.raises(UsageError, match="is left alone"):
        RunDirectory.create(Config(name="link", overwrite=True))
    assert Path("runs/a/summary.json").exists()


def test_an_empty_directory_is_used():
    Path("runs/a").mkdir(parents=True)
    assert RunDirectory.create(Config(name="a")).path == Path("runs/a")


def test_a_place_that_cannot_be_written_is_a_usage_error():
    Path("file").touch()
    with pytest.raises(UsageError, match="cannot make the run directory file/a: Not a directory; choose another --out"):
        RunDirectory.create(Config(out="file", name="a"))


def test_one_process_at_a_time():
    run = RunDirectory.create(Config(name="a"))
    for again in (Config(name="a", overwrite=True), Config(resume="runs/a")):
        with pytest.raises(UsageError, match="runs/a is in use by another process"):
            RunDirectory.create(again) if again.resume is None else RunDirectory.resume(again)
    run.close()
    RunDirectory.resume(Config(resume="runs/a")).close()


def test_resume_appends_and_goes_on_counting_time():
    run = finished()
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "train", "time": 100.0}\n{"kind": "tra')
    before = run.config()
    again = RunDirectory.resume(dataclasses.replace(before, resume=str(run.path), workers=4, ckpt="best"))
    again.journal.event("train", loss=0.25)
    kinds = [(line["kind"], float(line["time"])) for line in lines(again)]  # type: ignore[arg-type]
    assert [kind for kind, _ in kinds] == ["run", "train", "train", "run", "train"], "the half-written line is gone"
    assert kinds[-2][1] >= 100.0
    assert lines(again)[-2]["event"] == "resumed"
    assert again.config() == dataclasses.replace(before, workers=4), "config.yaml starts the run, not its continuation"


def test_resume_before_the_first_metric():
    RunDirectory.create(Config(name="a")).close()
    run = RunDirectory.resume(Config(resume="runs/a"))
    assert run.journal.elapsed_s() < 60


def test_open_refuses_other_directories():
    os.mkdir("other")
    for path in ("other", "missing"):
        with pytest.raises(UsageError, match=f"{path} is not a run directory"):
            RunDirectory.open(path)


def test_a_run_that_could_not_begin_leaves_no_directory():
    run = RunDirectory.create(Config(name="a"))
    assert run.fail(UsageError("no such core"), {}) is None
    assert not run.path.exists()


def test_a_run_that_had_begun_is_on_record():
    run = RunDirectory.create(Config(name="a"))
    run.journal.event("train")
    assert run.fail(DivergedError("NaN", summary={"updates": 3}), {"algorithm": "asgd"}) == run.read_summary()
    assert run.read_summary() == {
        "algorithm": "asgd",
        "updates": 3,
        "exit_reason": "diverged",
        "error": "DivergedError: NaN",
    }


def test_a_resume_that_cannot_begin_changes_nothing():
    before = finished()
    files = {name: (before.path / name).read_bytes() for name in ("config.yaml", "env.json", "summary.json")}
    run = RunDirectory.resume(dataclasses.replace(before.config(), resume=str(before.path), workers=4))
    assert run.fail(CheckpointError("damaged"), {}) is None
    run.close()
    assert {name: (before.path / name).read_bytes() for name in files} == files


@pytest.mark.parametrize(
    "tail", [b"\0\0\0\0\n", b'{"kind": "tra', b"[1]\n\xff\xfe\n", b'{"kind": "train", "time": null}\n']
)
def test_a_partial_last_line_of_the_metrics_is_removed(tail: bytes):
    run = RunDirectory.create(Config(name="a"))
    run.journal.event("train")
    run.close()
    whole = (run.path / "metrics.jsonl").read_bytes()
    (run.path / "metrics.jsonl").write_bytes(whole + tail)
    RunDirectory.resume(Config(resume="runs/a")).close()
    assert (run.path / "metrics.jsonl").read_bytes() == whole


def test_text_that_is_no_utf8_is_written_as_json_escapes():
    run = RunDirectory.create(Config(name="a"))
    run.journal.event("fault", message="no file img_\udcff.png")
    run.log("no file img_\udcff.png")
    assert lines(run)[-1]["message"] == "no file img_\udcff.png"
    assert "img_\\udcff.png" in (run.path / "log.txt").read_text()


def test_a_name_that_is_too_long_is_a_usage_error():
    with pytest.raises(UsageError, match=r"cannot make the run directory .*: File name too long; choose another"):
        RunDirectory.create(Config(name="a" * 300))


def test_a_full_disk_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch):
    run = RunDirectory.create(Config(name="a"))

    def is_full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "open", is_full)
    run.journal.event("train")  # kept until there is room
    assert run.fail(DivergedError("NaN"), {})["exit_reason"] == "diverged", "it must not hide what happened"


def test_log_lines_are_dated():
    run = RunDirectory.create(Config())
    run.log("one")
    run.log("two")
    first, second = (run.path / "log.txt").read_text().splitlines()
    assert first.endswith(" one")
    assert second.endswith(" two")
    assert first[:2] == "20"
