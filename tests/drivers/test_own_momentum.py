"""Which algorithms tell their pushes that v has no other writer: from the scope of the buffer."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from hogwild.buffers import REPLICA, SHARED, SNAPSHOT, WORKER, Buffer, Scope
from hogwild.drivers.view import pushes
from hogwild.drivers.view.worker_view import WorkerView
from hogwild.rules import HeavyBall
from hogwild.shared.world import World

LOCKED = Buffer(Scope.REPLICA, locks=True)  # others average with it


@pytest.mark.parametrize(("v", "is_own"), [(SHARED, False), (WORKER, True), (REPLICA, True), (LOCKED, False)])
def test_by_the_scope_of_v(v: Buffer, is_own: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict[str, Any]] = []

    class Seen(pushes.Push):
        def __init__(self, **arguments: Any) -> None:
            told.append(arguments)
            super().__init__(**arguments)

    monkeypatch.setattr(pushes, "Push", Seen)
    buffers = {"x": SHARED, "v": v, "snapshot": SNAPSHOT}
    view = WorkerView(World.create(nn.Linear(5, 3), buffers, 2), 1, buffers)
    view.lr = 0.1
    view.pull()
    view.push([torch.ones(3, 5), torch.ones(3)], momentum=HeavyBall(0.9))
    view.push([torch.ones(3, 5), torch.ones(3)])
    assert [arguments["own_v"] for arguments in told] == [is_own, False]
