"""What `hogwild doctor` recommends, from given measurements, and the measurement itself in windows of no length."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from hogwild.cli import main as cli
from hogwild.cli import measuring
from hogwild.cli.measuring import Measured, recommended

QUIET = Measured(
    gradients={1: 100.0, 2: 198.0, 4: 390.0},
    threaded=220.0,
    pinned=391.0,
    pushes={"racing": 1000.0, "atomic": 80.0, "striped": 900.0, "locked": 300.0},
    huge_pages=1.2,
    shared_huge="never",
    load=0.1,
)


def line(beginning: str, **changed: object) -> str:
    (found,) = (line for line in recommended(dataclasses.replace(QUIET, **changed)) if line.startswith(beginning))
    return found


def test_as_many_workers_as_gain_something():
    assert line("--workers 4").endswith("3.90 times the gradients of one worker, on 4 cores")
    assert line("--workers 2", gradients={1: 100.0, 2: 190.0, 4: 195.0})
    assert "one worker with 4 threads made 2.20 times" in line("one thread a worker")


def test_binding_is_recommended_where_it_gained():
    assert line("--pin none", pinned=409.0)
    assert line("--pin auto", pinned=410.0).endswith("1.05 times as many gradients")


def test_a_policy_that_loses_nothing_where_it_is_nearly_free():
    assert "or striped if no update may be lost" in line("--access racing")
    assert "striped 0.90, locked 0.30" in line("--access racing")
    pushes = {**QUIET.pushes, "locked": 960.0}
    assert line("--access locked", pushes=pushes).startswith("--access locked: no update is lost, and it costs little")


@pytest.mark.parametrize(
    ("setting", "words"), [("never", "(never); private"), ("advise", "of runs (advise); private"), (None, "has none")]
)
def test_huge_pages_of_shared_memory(setting: str | None, words: str):
    told = line("huge pages", shared_huge=setting)
    assert words in told
    assert ("sudo tee" in told) == (setting == "never")
    assert "private memory" not in line("huge pages", shared_huge=setting, huge_pages=None)


def test_one_core_and_a_busy_machine():
    told = recommended(dataclasses.replace(QUIET, gradients={1: 100.0}, load=3.0))
    assert [words.split()[0] for words in told] == ["--workers", "--access", "huge", "the"]
    assert "the load was 3.0 before" in told[-1]
    assert not any(words.startswith("the load") for words in recommended(QUIET))


def test_the_doctor_shows_what_it_recommends(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(measuring, "measure", lambda usable: QUIET)
    assert cli.main(["doctor", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["measured"]["pushes"] == QUIET.pushes
    assert facts["recommended"] == recommended(QUIET)
    assert cli.main(["doctor"]) == 0
    assert "\nsuits      --workers 4: 3.90 times" in capsys.readouterr().out


def test_every_policy_and_number_of_workers_is_measured(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(measuring, "WINDOW_S", 0.0)
    monkeypatch.setattr(measuring, "MATRIX", 8)
    monkeypatch.setattr(measuring, "ELEMENTS", 1 << 13)
    monkeypatch.setattr(measuring, "MEMORY_BYTES", 1 << 16)
    found = measuring.measure(2)
    assert list(found.gradients) == [1, 2]
    assert list(found.pushes) == ["racing", "atomic", "striped", "locked"]
    assert all(rate > 0 for rate in (*found.gradients.values(), *found.pushes.values(), found.threaded, found.pinned))


def test_the_chosen_setting_of_the_kernel(tmp_path: Path):
    (tmp_path / "enabled").write_text("always [madvise] never\n")
    assert measuring.chosen(tmp_path / "enabled") == "madvise"
    assert measuring.chosen(tmp_path / "none") is None
