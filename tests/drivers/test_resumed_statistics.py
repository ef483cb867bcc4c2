"""The statistics of a resumed run cover the whole run: sums, counts and histograms continue together."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest
from command_runs import SAMPLES, Run
from replica_processes import Flat

from hogwild.algorithms import REGISTRY
from hogwild.drivers.checkpoints.state import State
from hogwild.drivers.job.batches import BatchOrder
from hogwild.shared.world import World

BATCH = 32
KEPT = ("data_s", "gradient_s", "update_s", "paused_s")


def schedule(run: Run) -> list[dict[str, int]]:
    turns = [json.loads(line) for line in (run.path / "schedule.jsonl").read_text().splitlines()]
    return [turn for turn in turns if turn["kind"] == "gradient"]


def closing(run: Run) -> list[dict[str, Any]]:
    return [line for line in run.lines("worker") if line["event"] == "ended"]


@pytest.fixture
def interrupted(start) -> Run:
    """A run that was stopped by Ctrl-C after its first epoch."""
    run: Run = start("--workers", 2, "--batch-size", BATCH, "--epochs", 100_000, "--record")
    run.wait_for(lambda: run.lines("eval"), "an evaluation")
    run.signal(signal.SIGINT)
    assert run.end()[0] == 130
    return run


@pytest.mark.slow
def test_closing_lines_are_of_the_whole_run(start, interrupted: Run):
    before = closing(interrupted)
    epochs = json.loads((interrupted.path / "summary.json").read_text())["samples"] // SAMPLES + 2
    resumed = start("--resume", interrupted.path, "--epochs", epochs)
    code, summary, _ = resumed.end()
    assert code == 0
    pushes, ended, order = schedule(interrupted), closing(interrupted)[2:], BatchOrder(SAMPLES, BATCH, 0)
    for rank, line in enumerate(ended):
        own = [push for push in pushes if push["worker"] == rank]
        delays = [push["delay"] for push in own]
        assert before[rank]["pushes"] < line["pushes"] == len(own)
        assert line["delay_mean"] == pytest.approx(sum(delays) / len(delays))
        assert line["delay_max"] == max(delays)
        tickets = [push["ticket"] for push in own]
        assert line["samples"] == sum(order.samples_before(t + 1) - order.samples_before(t) for t in tickets)
        assert all(line[name] > before[rank][name] for name in KEPT)
    every = [push["delay"] for push in pushes]
    assert summary["delay"]["mean"] == pytest.approx(sum(every) / len(every))
    assert summary["delay_histogram"] == {str(delay): every.count(delay) for delay in sorted(set(every))}
    part = sum(line["samples"] for line in ended) - sum(line["samples"] for line in before)
    assert summary["samples_per_s"] == pytest.approx(part / summary["wall_s"]), "a rate covers this part of the run"


def measured(workers: int) -> tuple[World, Flat]:
    """A world in which worker r has pushed r + 2 times; each time the model was r + 1 versions ahead."""
    module = Flat(37)
    world = World.create(module, REGISTRY["asgd"]().keeps(), workers)
    control = world.control
    control.version = 100
    for rank in range(workers):
        for push in range(rank + 2):
            control.set_pulled(rank, control.version - rank - 1)
            control.begin_push(rank, False)
            control.end_push(rank, False, True, 0, 3.0 + rank, 0.5 + push)
            control.record_loss(rank, 1.5, 7)
        control.restore(rank, {"gradient_s": 1.0 + rank, "update_s": 0.25, "waiting_s": 0.125, "lock_s": 0.5})
    return world, module


def copied(world: World, module: Flat, workers: int, lost: tuple[int, ...] = ()) -> World:
    again = World.create(Flat(37), REGISTRY["asgd"]().keeps(), workers)
    State.from_plain(State.of(world, module, REGISTRY["asgd"](), lost).plain()).write_to(again)
    return again


def test_every_number_is_restored():
    world, module = measured(3)
    again = copied(world, module, 3)
    for rank in range(3):
        assert again.control.totals(rank) == world.control.totals(rank)
        assert again.control.delays(rank) == world.control.delays(rank)
        assert again.control.gaps(rank) == world.control.gaps(rank)
        assert sum(again.control.gaps(rank)) == rank + 2
        assert again.control.totals(rank)["delay_sum"] == (rank + 1) * (rank + 2)


def test_statistics_of_a_lost_worker_stay_its_own_and_steps_go_with_the_buffers():
    world, module = measured(3)
    again = copied(world, module, 3, lost=(0,))
    assert [again.control.totals(rank)["pushes"] for rank in range(3)] == [2, 3, 4]
    assert [again.control.steps(rank) for rank in range(3)] == [3, 4, 0]


def test_with_fewer_workers_the_sums_over_all_stay_those_of_the_run():
    world, module = measured(3)
    again = copied(world, module, 2)
    first, second = (again.control.totals(rank) for rank in range(2))
    assert (first["pushes"], second["pushes"]) == (2 + 4, 3)
    assert (first["delay_sum"], first["delay_max"]) == (2 * 1 + 4 * 3, 3)
    assert first["gradient_s"] == 1.0 + 3.0
    assert again.control.delays(0)[:4] == [0, 2, 0, 4]
    assert sum(again.control.gaps(0)) == 2 + 4


def test_a_checkpoint_without_statistics_begins_them_all_at_zero():
    """Version 0.1.0 wrote such checkpoints. Sums and counts then begin at zero."""
    world, module = measured(3)
    old = State.of(world, module, REGISTRY["asgd"]()).plain()
    del old["statistics"]
    old["pushes"] = old.pop("steps")
    again = World.create(Flat(37), REGISTRY["asgd"]().keeps(), 3)
    State.from_plain(old).write_to(again)
    assert again.control.version == world.control.version
    for rank in range(3):
        assert not any(again.control.totals(rank).values())
        assert again.control.steps(rank) == world.control.steps(rank) == rank + 2


def test_unknown_statistics_are_refused():
    world, _ = measured(1)
    with pytest.raises(ValueError, match="no statistic luck"):
        world.control.restore(0, {"luck": 1.0})
