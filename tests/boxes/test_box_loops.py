"""Loops of the caller's own between boxes: they wait for leases, and end with the run of all boxes."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest
import torch
from loopback import Model, until
from torch import nn

import hogwild
from hogwild.buffers import Buffer, Scope
from hogwild.drivers.processes.handle import Handle
from hogwild.drivers.processes.loop_worker import LoopWorker
from hogwild.errors import UsageError
from hogwild.shared.control import NO_TICKET
from hogwild.shared.world import World


def loop_worker() -> SimpleNamespace:
    """What a step needs of its worker to take a ticket; no lease has come yet."""
    world = World.create(Model(torch.ones(1)), {"x": Buffer(Scope.SHARED)}, 1)
    control = world.control
    control.assign(0, 0, [])
    control.lease(0, 0, True)
    job = SimpleNamespace(box=1, boxes=2, total_tickets=50, schedule=SimpleNamespace(lr=float))
    return SimpleNamespace(world=world, tickets=control, ledger=control, rank=0, job=job, _finish_update=lambda: None)


def handle_of(worker: SimpleNamespace) -> Handle:
    handle = Handle.__new__(Handle)
    handle._worker = worker
    return handle


def test_a_step_waits_for_the_next_lease():
    worker, taken = loop_worker(), []
    thread = threading.Thread(target=lambda: taken.append(LoopWorker._take_for_step(worker)))
    thread.start()
    until(lambda: worker.ledger.stats(0)["beats"] > 0, "it waits")
    assert taken == []
    worker.tickets.lease(7, 1, True)
    thread.join()
    assert [worker.tickets.number(ticket) for ticket in taken] == [7]
    worker.tickets.complete(0)
    worker.tickets.lease(0, 0, False)
    assert LoopWorker._take_for_step(worker) == NO_TICKET


def test_a_loop_knows_where_it_is_and_when_the_run_ends():
    worker = loop_worker()
    handle = handle_of(worker)
    assert (handle.box, handle.boxes) == (1, 2)
    assert not handle.should_stop, "a lease may come"
    worker.tickets.lease(40, 1, True)
    assert handle.lr == 40.0, "by the count of all boxes"
    worker.tickets.take(0)
    worker.tickets.lease(0, 0, False)
    assert handle.should_stop


def loop(worker: hogwild.Worker) -> None:
    worker.step(worker.model(torch.ones(2, 3)).sum())


def model() -> nn.Module:
    return nn.Linear(3, 1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"between": "ad-psgd"}, "between ad-psgd is for the boxes that torchrun starts"),
        ({"between": "ad-psgd", "boxes": 2}, "launch runs your own loops in real processes: boxes is for hogwild.fit"),
    ],
)
def test_what_loops_between_boxes_need(monkeypatch, tmp_path, options: dict, words: str):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with pytest.raises(UsageError, match=words):
        hogwild.launch(loop, model, workers=1, out=tmp_path, **options)
