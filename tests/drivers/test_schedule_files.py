"""Recorded schedules as files: what is in them, those of older versions, and what is refused in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import pytest
import torch
from recorded_runs import BATCHES, differences, job_of, merged, net, options, replayed, scripted
from torch import nn

from hogwild.algorithms.base import SHARED, SNAPSHOT, Algorithm, Buffer, Gradient, Steps, View
from hogwild.drivers.instruments.trace import GRADIENT
from hogwild.errors import UsageError


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[dict[str, Any]]]:
    """The lines of a recorded run of two workers, made once for each algorithm."""
    made: dict[str, list[dict[str, Any]]] = {}

    def lines(name: str) -> list[dict[str, Any]]:
        if name not in made:
            folder, draws = tmp_path_factory.mktemp(name), Random(3)
            job = job_of(access="locked", record=True, **options(name, 2))
            scripted(job, folder, draws.choice)
            made[name] = [json.loads(line) for line in merged(job, folder).read_text().splitlines()]
        return json.loads(json.dumps(made[name]))

    return lines


def written(folder: Path, lines: list[dict[str, Any]]) -> Path:
    path = folder / "schedule.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def as_in_0_1(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What version 0.1.0 wrote of the same run: gradients only, in the order of their versions, then of the ranks."""
    rows = [{name: row[name] for name in OLD} for row in lines if row["kind"] == GRADIENT]
    return sorted(rows, key=lambda row: (row["version"], row["place"], row["worker"]))


OLD = ("version", "place", "worker", "ticket", "delay")


def test_turns_are_numbered_without_a_gap_and_tell_who_came_and_left(recorded):
    head, *turns = recorded("easgd")
    assert head == {"kind": "schedule", "format": 2, "algorithm": "easgd", "access": "locked", "workers": 2,
                    "lost": False, "resumed": False}  # fmt: skip
    assert [turn["turn"] for turn in turns] == list(range(len(turns)))
    assert [turn["kind"] for turn in turns[:4]] == ["join", "begin"] * 2
    assert [turn["kind"] for turn in turns[4:]] == ["gradient"] * BATCHES + ["leave"] * 2
    assert sorted(turn["ticket"] for turn in turns[4:-2]) == list(range(BATCHES))


@pytest.mark.parametrize("name", ["asgd", "k-batch-async", "gap-aware"])
def test_an_old_schedule_of_one_master_is_exact_as_before(recorded, tmp_path: Path, name: str):
    new, old = written(tmp_path, recorded(name)), written(tmp_path, as_in_0_1(recorded(name)))
    values = options(name, 2)
    runs = [replayed(job_of(clock=f"trace:{path}", **values), path) for path in (new, old)]
    assert differences(runs[0].world, runs[1].world) == []
    assert runs[1].doubts == []


def test_an_old_schedule_of_replicas_goes_on_with_a_warning_by_name(recorded, tmp_path: Path):
    old = written(tmp_path, as_in_0_1(recorded("downpour")))
    again = replayed(job_of(clock=f"trace:{old}", **options("downpour", 2)), old)
    (doubt,) = again.doubts
    assert doubt.startswith(
        "the schedule was recorded by version 0.1.0, which numbered pushes only: what workers of downpour"
    )
    assert again.computed == BATCHES


def change(line: int, **facts: object) -> Callable[[list[dict[str, Any]]], object]:
    return lambda lines: lines[line].update(facts)


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("asgd", change(0, lost=True), "a worker died in the recorded run, and no schedule tells how far it had come"),
        ("asgd", change(0, resumed=True), "went on from a checkpoint, and a replay begins at the first update"),
        ("asgd", change(0, workers=3), "recorded with 3 workers, but --workers is 2: use 3"),
        ("asgd", change(0, format=3), "format 3 is of another version, this one reads 2"),
        ("asgd", lambda lines: lines.pop(9), "turn 8 is missing, the next one is 9"),
        ("asgd", change(9, kind="nap"), "'nap' is no kind of turn"),
        ("asgd", change(9, worker=2), "recorded with worker 2, but --workers is 2"),
        ("asgd", change(9, ticket=25), "it has ticket 25, but this run ends after 25: give the data, the batch size"),
        ("asgd", change(9, ticket=1.5), "1.5 is no whole number from 0"),
    ],
)
def test_a_schedule_that_cannot_be_replayed_is_refused(recorded, tmp_path: Path, name: str, damage: Any, message: str):
    lines = recorded(name)
    damage(lines)
    path = written(tmp_path, lines)
    with pytest.raises(UsageError, match=message) as caught:
        replayed(job_of(clock=f"trace:{path}", **options(name, 2)), path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ringmaster", "gave no number to a gradient that was dropped or refused, and it has such gradients"),
        (
            "asysg-incon",
            "algorithm asysg-incon reads the model once more after a push, and the recorded schedule is of",
        ),
    ],
)
def test_an_old_schedule_that_was_not_exact_is_refused(recorded, tmp_path: Path, name: str, message: str):
    path = written(tmp_path, as_in_0_1(recorded(name)))
    values = options(name, 2) | ({"coords": "block"} if name == "asysg-incon" else {})
    with pytest.raises(UsageError, match=message):
        replayed(job_of(clock=f"trace:{path}", **values), path)


@pytest.mark.parametrize(("access", "doubts"), [("locked", 0), ("racing", 1)])
def test_only_the_locked_policy_records_an_exact_order(recorded, tmp_path: Path, access: str, doubts: int):
    lines = recorded("easgd")
    lines[0]["access"] = access
    path = written(tmp_path, lines)
    found = replayed(job_of(clock=f"trace:{path}", **options("easgd", 2)), path).doubts
    assert len(found) == doubts
    assert all("recorded under --access racing" in line for line in found)


def test_turns_of_another_algorithm_are_named_or_refused(recorded, tmp_path: Path):
    path = written(tmp_path, recorded("easgd"))
    again = replayed(job_of(clock=f"trace:{path}", **options("asgd", 2)), path)
    assert again.doubts == ["the schedule was recorded with algorithm 'easgd': its turns are taken by asgd"]
    with pytest.raises(UsageError, match=r"a worker's gradient comes where k-async has none.: replay it with 'easgd'"):
        replayed(job_of(clock=f"trace:{path}", **options("k-async", 2)), path)


# ---- what no schedule holds ----------------------------------------------------------------------------------------


class Moving(nn.Module):
    """A model that counts its batches in a parameter that is not trained, which all workers share."""

    def __init__(self) -> None:
        super().__init__()
        self.net = net()
        self.seen = nn.Parameter(torch.zeros(1), requires_grad=False)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            self.seen += 1
        return self.net(inputs)


def moving(_: Any) -> nn.Module:
    return Moving()


@dataclass(frozen=True)
class Timed(Algorithm):
    """Asks for the time."""

    name: ClassVar[str] = "timed"
    buffers: ClassVar[dict[str, Buffer]] = {"x": SHARED, "snapshot": SNAPSHOT}

    def worker(self, w: View) -> Steps:
        w.pull()
        while True:
            g = yield Gradient(at=w.snapshot)
            w.push(g, lr=lambda _: w.lr if w.now > 0 else None)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"algorithm": "d-psgd"}, "replays asynchronous algorithms only, and d-psgd waits in rounds"),
        ({"read": "inplace"}, r"algorithm asgd takes its gradients at memory that other workers write meanwhile"),
        ({"norm": "full"}, "is one for all workers, which update it while they compute gradients"),
        ({"model": moving}, "the model writes to its parameter seen, which is one for all workers"),
        ({"algorithm": "test_schedule_files:Timed"}, "algorithm test_schedule_files:Timed asks for the time"),
    ],
)
def test_what_no_schedule_holds_is_refused_by_name(recorded, tmp_path: Path, values: dict[str, Any], message: str):
    path = written(tmp_path, recorded("asgd"))
    job = job_of(**{"clock": f"trace:{path}", "algorithm": "asgd", "workers": 2, **values})
    with pytest.raises(UsageError, match=message) as caught:
        replayed(job, path)
    assert "\n" not in str(caught.value)
