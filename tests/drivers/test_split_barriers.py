"""Barriers in two halves, in the simulator's time and in processes; parts of a combination."""

from __future__ import annotations

import threading
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from test_simulator import simulate

from hogwild.algorithms import REGISTRY
from hogwild.algorithms.elastic.slots import slot_of_last, slot_of_next
from hogwild.drivers.view.worker_view import WorkerView
from hogwild.shared.world import World

STEPS = 16  # of each of four workers
FAST = {"clock": "round-robin", "updates": 4 * STEPS, "eval_every": 0}


@pytest.mark.parametrize(("latency", "waited"), [(0.0, 0.0), (3.0, 0.0), (4.0, 0.0), (6.0, 2 * 2.0)])
def test_what_travels_within_a_period_takes_no_time(tmp_path: Path, latency: float, waited: float):
    """Means are begun after 4, 8, 12 steps and used 4 steps later; of the last one nothing is seen."""
    values = {"period": 4, "latency": latency, **FAST}
    summary, _, _ = simulate(tmp_path, algorithm="overlap-sgd", **values)
    assert summary["virtual_s"] == pytest.approx(STEPS + waited)


def test_a_barrier_that_is_not_split_costs_its_messages(tmp_path: Path):
    summary, _, _ = simulate(tmp_path, algorithm="local-sgd", period=4, latency=3.0, **FAST)
    assert summary["virtual_s"] == pytest.approx(STEPS + 3 * 2 * 3.0), "a mean is computed, and read, three times"


@pytest.mark.parametrize(("overlap", "latency", "waited"), [(0, 0.5, 3.0), (1, 0.5, 0.0), (1, 1.0, 3.0), (2, 1.0, 0.0)])
def test_a_fragment_travels_while_steps_are_taken(tmp_path: Path, overlap: int, latency: float, waited: float):
    """Fragments are sent after 4, 8, 12 steps. The first worker reads one and writes it to the master, two messages."""
    values = {"period": 8, "fragments": 2, "overlap": overlap, "momentum": 0.0, "latency": latency, **FAST}
    summary, _, _ = simulate(tmp_path, algorithm="streaming-diloco", **values)
    assert summary["virtual_s"] == pytest.approx(STEPS + waited)


def test_workers_go_on_after_they_arrived_and_wait_for_the_last():
    """On the control block, as worker processes do: the second one waits until the first arrives."""
    world = World.create(torch.nn.Linear(3, 1), REGISTRY["overlap-sgd"].buffers, 2)
    control = world.control
    assert all(control.join(rank, 1, 1.0) for rank in range(2))
    assert control.wait_barrier(1, control.arrived(1), 1.0), "who has arrived nowhere waits for nobody"
    control.arrive(1)
    assert not control.wait_barrier(1, control.arrived(1), 0.01)
    late = threading.Thread(target=control.arrive, args=(0,))
    late.start()
    assert control.wait_barrier(1, control.arrived(1), 60.0)
    late.join()
    assert control.participants(1) == [0, 1]


def test_a_worker_that_is_alone_sends_where_the_next_ones_read():
    """All others may have left or died before this one came: what counts is the number of the barrier."""
    buffers = REGISTRY["overlap-sgd"].buffers
    view = WorkerView(World.create(torch.nn.Linear(3, 1), buffers, 2), 0, buffers, barriers_per_round=1)
    for number in range(4):
        view.rounds.generation = number
        assert not number or not view.present
        sent, last = slot_of_next(view), slot_of_last(view)
        view.rounds.generation = number + 1
        assert slot_of_last(view) == sent != last


def test_a_part_of_a_combination_and_the_fragments_of_a_model():
    buffers = REGISTRY["d-psgd"].buffers
    world = World.create(torch.nn.Linear(701, 1, bias=False), buffers, 2)
    view = WorkerView(world, 0, buffers, barriers_per_round=2)
    parts = view.fragments(3)
    assert parts[0][0] == 0
    assert parts[-1][1] == world.layout.n
    assert all(stop == start for (_, stop), (start, _) in pairwise(parts))
    assert max(stop - start for start, stop in parts) - min(stop - start for start, stop in parts) <= 32
    before = view.replica.clone()
    view.buffer("sent").fill_(2.0)
    start, stop = parts[1]
    view.combine("replica", {"sent": 1}, part=parts[1])
    assert bool((view.replica[start:stop] == 2).all())
    view.combine("replica", {"replica": 0.5, "sent": 1}, part=parts[1])
    assert bool((view.replica[start:stop] == 3).all())
    assert torch.equal(view.replica[:start], before[:start])
    assert torch.equal(view.replica[stop:], before[stop:])
    assert view.fragments(1000)[-1][1] == world.layout.n, "some are empty"
