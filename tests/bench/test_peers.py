"""The contestants of bench.peers average correctly, and the check of that can fail."""

from __future__ import annotations

import json

import pytest

from bench.peers import measure, ours
from bench.peers.__main__ import RESULTS, main
from bench.peers.pool import WorkerPool
from bench.peers.tables import markdown


@pytest.fixture(scope="module")
def pool():
    with WorkerPool(2, hidden=9) as pool:
        yield pool


@pytest.mark.slow
def test_every_contestant_keeps_the_sum_of_all_steps(pool):
    names = [name for name in pool.contestants if name not in measure.CONTROLS]
    assert {"ad-psgd, random pair", "torch PostLocalSGDOptimizer, mean of all"} < set(names)
    assert {name: pool.check(name) < 1e-5 for name in names} == dict.fromkeys(names, True)


@pytest.mark.slow
def test_a_contestant_that_does_not_average_fails_the_check(pool):
    with pytest.raises(AssertionError, match="step alone, hogwild: the replicas stay apart"):
        pool.check(ours.CONTROL)


@pytest.mark.slow
def test_the_command_records_every_contestant_in_every_round(tmp_path, capsys):
    sizes = ["--hidden", "3", "--processes", "2", "--rounds", "3", "--turn-s", "0.002"]
    main(["small", "--out", str(tmp_path), *sizes])
    found = json.loads((tmp_path / "small.json").read_text())
    assert found["parameters"] == 784 * 6 + 6 + 6 * 3 + 3 + 3 * 10 + 10
    (contest,) = found["runs"]
    assert all(seconds["rounds"] == 3 and seconds["min"] > 0 for seconds in contest["seconds"].values())
    printed = capsys.readouterr().out
    assert (tmp_path / "small.md").read_text() == markdown(found) == printed.removesuffix("\n")
    assert all(f"| {name} | " in printed for name in contest["seconds"])


def test_the_recorded_tables_are_those_of_their_record():
    record = RESULTS / "peers-2-cores.json"
    assert markdown(json.loads(record.read_text())) == record.with_suffix(".md").read_text()
