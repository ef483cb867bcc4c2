"""Parameters that are not trained are part of the model: one copy for all workers, the parent's values, saved."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import hogwild
from hogwild.algorithms import REGISTRY
from hogwild.drivers.checkpoints import store
from hogwild.drivers.checkpoints.state import State
from hogwild.errors import UsageError
from hogwild.shared.world import World

ASGD = REGISTRY["asgd"]()


class Net(nn.Module):
    """A frozen projection drawn by NumPy, which no seed of torch repeats."""

    def __init__(self, hidden: int = 31):
        super().__init__()
        start = np.random.default_rng().normal(size=(7, hidden)).astype("float32") / 3
        self.proj = nn.Parameter(torch.from_numpy(start), requires_grad=False)
        self.out = nn.Linear(hidden, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(torch.relu(x @ self.proj))


def points() -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(300, 7, generator=torch.Generator().manual_seed(1))
    return x, (x[:, :3].sum(1) > x[:, 3:].abs().sum(1) - 4).long()


def test_all_workers_have_one_copy():
    frozen_bytes = 7 * 9001 * 4
    module = Net(9001)
    module.out = nn.Linear(9001, 2, bias=False)
    world = World.create(module, ASGD.keeps(), 5)
    trained_bytes = world.layout.n * 4 * len(ASGD.keeps()) * 5
    assert world.arena.layout.nbytes < trained_bytes + 2 * frozen_bytes
    place = world.arena.tensor("frozen:proj")
    for rank in range(5):
        built = Net(9001)
        built.out = nn.Linear(9001, 2, bias=False)
        world.adopt(built, rank)
        assert built.proj.data_ptr() == place.data_ptr()
        assert torch.equal(built.proj, module.proj)


@pytest.mark.parametrize("clock", [None, "round-robin"])
def test_what_is_trained_with_is_evaluated_and_saved(tmp_path: Path, clock: str | None):
    data = (points(), points())
    result = hogwild.fit(Net, data, workers=2, epochs=12, batch_size=10, lr=0.1, clock=clock, out=str(tmp_path))
    assert result.summary["test_loss"] < 1.3 * result.summary["train_loss"]
    again = Net()
    assert not torch.equal(again.proj, result.model.proj)
    State.from_plain(store.load(Path(result.path) / "ckpt").state).load_module(again)
    assert torch.equal(again.proj, result.model.proj)
    assert torch.equal(again.out.weight, result.model.out.weight)


def follow(worker: hogwild.Worker) -> None:
    x, y = points()
    for _ in range(4):
        worker.step(nn.functional.cross_entropy(worker.model(x), y))
        with torch.no_grad():
            worker.model.proj[worker.rank].fill_(worker.rank + 0.5)


def test_what_one_worker_writes_to_a_frozen_parameter_is_in_the_model(tmp_path: Path):
    result = hogwild.launch(follow, Net, workers=2, lr=0.1, out=str(tmp_path))
    assert result.model.proj[:2].unique(dim=1).tolist() == [[0.5], [1.5]]


def test_a_resumed_run_has_the_values_that_were_saved():
    module = Net()
    world = World.create(module, ASGD.keeps(), 2)
    state = State.of(world, module, ASGD)
    other = Net()
    again = World.create(other, ASGD.keeps(), 3)
    state.write_to(again)
    assert torch.equal(again.frozen()["proj"], module.proj)
    assert state.unsaved(other) is None


def test_a_checkpoint_without_them_says_so_and_keeps_those_that_were_built():
    module = Net()
    plain = State.of(World.create(module, ASGD.keeps(), 1), module, ASGD).plain()
    old = State.from_plain({name: value for name, value in plain.items() if name != "frozen"})
    other = Net()
    built = other.proj.clone()
    assert "proj" in (old.unsaved(other) or "")
    old.load_module(other)
    assert torch.equal(other.proj, built)
    assert torch.equal(other.out.weight, module.out.weight)


def test_a_model_of_another_make_is_refused():
    world = World.create(Net(), ASGD.keeps(), 2)
    with pytest.raises(UsageError, match=r"frozen:proj is \[7, 5\], and \[7, 31\] in the run"):
        world.adopt(Net(5), 1)
    unfrozen = Net()
    unfrozen.proj.requires_grad = True
    with pytest.raises(UsageError, match="worker 1 differs from the one of the run: frozen:proj is absent"):
        world.adopt(unfrozen, 1)
