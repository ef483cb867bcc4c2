"""What a run does without: the parent's copy of the model between two copies, copies of what is saved, snapshots."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from replica_processes import Flat
from torch import nn

from hogwild.algorithms import REGISTRY
from hogwild.config import Config
from hogwild.drivers.checkpoints import contents
from hogwild.drivers.checkpoints.state import State, let_go
from hogwild.drivers.job.job import Job, make_job
from hogwild.drivers.job.world import kept
from hogwild.drivers.view.worker_view import view_of
from hogwild.shared.world import World
from hogwild.tasks import load

N = 4099


def test_a_module_gets_its_memory_back_with_the_next_state():
    module = nn.Sequential(Flat(N), nn.BatchNorm1d(3))
    module[1].bias.requires_grad_(False)
    asgd = REGISTRY["asgd"]()
    world = World.create(module, asgd.keeps(), 2)
    world.arena.tensor("x").normal_(generator=torch.Generator().manual_seed(1))
    state = State.of(world, module, asgd)
    let_go(module)
    weight = module[0].weight
    assert (weight.shape, weight.untyped_storage().nbytes()) == ((N,), 4)
    with pytest.raises(RuntimeError, match="single memory location"):
        weight.data.copy_(torch.ones(N))
    for _ in range(2):  # into no memory, and into its own
        state.load_module(module)
        assert torch.equal(module[0].weight, world.arena.tensor("x")[:N])
    module[0].weight.data.fill_(7.0)
    module[1].bias.data.fill_(7.0)
    assert torch.equal(state.parameters["0.weight"], world.arena.tensor("x")[:N]), "the state is another memory"
    assert bool((state.frozen["1.bias"] == 0).all())


def test_a_transposed_parameter_keeps_its_layout():
    module = nn.Linear(5, 3, bias=False)
    module.weight.data = torch.ones(5, 3).t()
    let_go(module)
    assert module.weight.stride() == (1, 3)


def test_a_state_that_is_in_a_world_needs_no_tensors():
    module = Flat(N)
    world = World.create(module, REGISTRY["ad-psgd"]().keeps(), 2)
    state = State.of(world, module, REGISTRY["ad-psgd"]()).without_tensors()
    tensors = [state.parameters, state.buffers, state.module_buffers, state.frozen, state.tables, state.table_counts]
    assert not any(tensors)
    assert (state.version, len(state.steps)) == (0, 2)


def test_only_views_are_copied_to_be_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    whole, copied = torch.arange(N, dtype=torch.float32), []
    monkeypatch.setattr(contents, "_copied", lambda tensor: copied.append(tensor) or tensor.clone())
    state = {"whole": whole, "views": [whole[5:9], torch.ones(3, 5).t()]}
    contents.save_state(state, tmp_path / "state.pt")
    assert [list(tensor.shape) for tensor in copied] == [[4], [5, 3]]
    assert (tmp_path / "state.pt").stat().st_size < 4 * N + 4000
    monkeypatch.undo()
    again = contents.load_state(tmp_path / "state.pt")
    assert torch.equal(again["whole"], whole)
    assert torch.equal(again["views"][0], whole[5:9])
    assert again["views"][1].shape == (5, 3)


def job_of(algorithm: str, **values: object) -> Job:
    data = load("digits")
    return make_job(Config(data="digits", algorithm=algorithm, workers=2, **values), data, lambda _: Flat(N))


@pytest.mark.parametrize(
    ("algorithm", "values", "has_snapshot"),
    [
        ("asgd", {}, True),
        ("asgd", {"read": "inplace"}, False),
        ("ssgd", {}, False),
        ("ssgd", {"clock": "gamma"}, True),  # whose reads count as messages
    ],
)
def test_snapshots_are_for_masters_that_change_meanwhile(algorithm: str, values: dict[str, str], has_snapshot: bool):
    job, cpu = job_of(algorithm, **values), torch.device("cpu")
    assert ("snapshot" in kept(job, cpu)) is has_snapshot
    assert "snapshot" in kept(job, torch.device("cuda")) or values.get("read") == "inplace"
    world = World.create(job.build(), kept(job, cpu), 2)
    view = view_of(job, world, 1, lambda: 0.0)
    assert (view.snapshot.data_ptr() == view.x.data_ptr()) is not has_snapshot
    assert view.buffers.has_snapshot is has_snapshot
