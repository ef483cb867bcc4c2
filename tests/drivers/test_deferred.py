"""Pushes that are counted one step late, as on a GPU, give the same model and the same metrics. Emulated on the CPU."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from one_worker import train
from slow import rest_is_slow
from torch import nn

from hogwild.algorithms import REGISTRY
from hogwild.buffers import SHARED, SNAPSHOT, WORKER, Scope
from hogwild.drivers.view.worker_view import WorkerView
from hogwild.rules import Gap, HeavyBall
from hogwild.shared.world import World

BUFFERS = {"x": SHARED, "s": SHARED, "v": WORKER, "snapshot": SNAPSHOT}


DEFERRING = sorted(name for name, cls in REGISTRY.items() if not cls.barriers_per_round)
FEW = {"asgd", "gap-aware", "dana", "easgd", "ad-psgd", "softsync", "ia2sgd", "adamw", "dc-asgd", "sgp"}


@pytest.mark.parametrize("algorithm", rest_is_slow(DEFERRING, FEW))
def test_the_model_is_the_same_to_the_bit(algorithm: str, tmp_path: Path) -> None:
    (tmp_path / "now").mkdir()
    (tmp_path / "late").mkdir()
    now, told_now = train(algorithm, tmp_path / "now", defers=False)
    late, told_late = train(algorithm, tmp_path / "late", defers=True)
    for name, buffer in REGISTRY[algorithm]().keeps().items():
        got, want = (world.arena.tensor(name, None if buffer.scope is Scope.SHARED else 0) for world in (late, now))
        assert torch.equal(got, want), name
    assert told_late == told_now == ["ready", "done"]
    stats, expected = late.control.stats(0), now.control.stats(0)
    for name in expected.keys() - {"gradient_s", "update_s", "waiting_s", "beats"}:
        assert stats[name] == expected[name], name
    assert late.control.version == now.control.version > 0
    assert late.control.drained()
    assert not late.control.outstanding()
    lines = [(tmp_path / which / "0.schedule").read_text() for which in ("now", "late")]
    assert lines[0] == lines[1] != ""


def deferring_view(n: int) -> WorkerView:
    module = nn.Linear(n, 1, bias=False)
    view = WorkerView(World.create(module, BUFFERS, 1), 0, BUFFERS)
    view.lr, view.updates.defers = 0.1, True
    view.pull()
    return view


def test_the_version_rises_when_the_push_is_finished() -> None:
    view = deferring_view(17)
    view.push([torch.randn(1, 17)], momentum=HeavyBall(0.9), penalty=Gap())
    assert (view.control.version, view.pending) == (0, True)
    view.finish()
    assert (view.control.version, view.pending) == (1, False)
    view.push([torch.randn(1, 17)], momentum=HeavyBall(0.9), penalty=Gap())
    view.push([torch.randn(1, 17)], momentum=HeavyBall(0.9), penalty=Gap())
    assert view.control.version == 2
    assert view.steps == 3  # reading the version counts it
    view.push([torch.randn(1, 17)], momentum=HeavyBall(0.9), penalty=Gap())
    assert (view.version, view.pending) == (4, False)  # likewise


def test_a_refused_push_is_noticed_at_the_next_push_which_is_not_deferred() -> None:
    view = deferring_view(17)
    before = view.x.clone()
    view.push([torch.full((1, 17), float("nan"))])
    assert view.outcome.refused == 0  # not known yet
    view.x.add_(1)  # others continue
    view.push([torch.full((1, 17), float("inf"))])  # for a gradient at the old snapshot
    assert not view.pending
    assert view.outcome.refused == 17
    assert view.control.version == 0
    assert torch.equal(view.x, before + 1)
    assert torch.equal(view.snapshot, view.x)  # read again
    view.push([torch.ones(1, 17)])
    assert not view.pending  # not deferred, and applied
    view.push([torch.ones(1, 17)])
    assert view.pending
    view.finish()
    assert view.control.version == 2
    assert view.control.stats(0)["refused"] == 2


def test_a_failing_push_leaves_nothing_pending() -> None:
    view = deferring_view(17)
    with pytest.raises(ValueError, match="gradient 0 has 3 elements"):
        view.push([torch.ones(3)])
    assert not view.pending
    view.push([torch.ones(1, 17)])
    view.finish()
    assert view.control.version == 1
