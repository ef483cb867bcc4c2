"""A courier that stands still holds nobody: leases are the parent's, and inside the gate it is killed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from loopback import Model

from hogwild.boxes.handle import CourierHandle
from hogwild.boxes.memory import BoxMemory
from hogwild.buffers import Buffer, Scope
from hogwild.kernels.control import Phase
from hogwild.shared.world import World


class Process:
    """A process that stands still until it is killed."""

    pid, exitcode = 4711, -9

    def __init__(self) -> None:
        self.is_killed = False

    def is_alive(self) -> bool:
        return not self.is_killed

    def kill(self) -> None:
        self.is_killed = True

    def join(self) -> None:
        pass


def world() -> World:
    return World.create(Model(torch.ones(33)), {"x": Buffer(Scope.SHARED)}, 1, lines=2)


def handle_of(box: World) -> tuple[CourierHandle, Process]:
    config = SimpleNamespace(start_method="spawn")
    found = CourierHandle(config, box, BoxMemory.create(0, 2, 64), None, None, 1, Path("courier.log"), None)
    found._process, found._pipe = Process(), SimpleNamespace(poll=lambda _timeout: False, close=lambda: None)
    return found, found._process


def test_a_courier_that_stands_still_inside_the_gate_is_killed():
    box = world()
    found, process = handle_of(box)
    found._patience_s = 0.0
    control = box.control
    control.join(1, 0, 0.0)
    assert control.enter(1, 0.0)
    control.close_gate(0)
    assert not control.drained()
    assert list(found.events()) == []  # its first sign of life
    events = list(found.events())
    assert process.is_killed
    events += list(found.events())
    assert [kind for kind, _ in events] == ["died"]
    assert "it stood still inside an update" in events[0][1]
    assert control.drained()


@pytest.mark.parametrize("where", ["outside", "moving"])
def test_a_courier_is_not_killed_outside_the_gate_or_while_it_moves(where: str):
    box = world()
    found, process = handle_of(box)
    found._patience_s = 0.0
    if where == "moving":
        box.control.join(1, 0, 0.0)
    for _ in range(4):
        if where == "moving":
            box.control.set_phase(1, Phase.PAUSED)
        assert list(found.events()) == []
    assert not process.is_killed
