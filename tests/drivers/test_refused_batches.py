"""A gradient that is not finite leaves no trace in the model's own buffers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from one_worker import net, train
from torch import nn

import hogwild

BAD = 3  # the forward pass that makes it


class Poisoned(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net, self.calls = net(), 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += self.training
        return self.net(x * torch.inf if self.calls == BAD and self.training else x)


@pytest.mark.parametrize("algorithm", ["asgd", "easgd", "ssgd", "softsync"])
@pytest.mark.parametrize("defers", [False, True])
def test_a_worker_takes_its_statistics_back(algorithm: str, defers: bool, tmp_path: Path):
    """The books of one worker; a push that is counted late takes the batch after it along."""
    if defers and algorithm in ("ssgd", "softsync"):
        pytest.skip("waits for its updates")
    world, told = train(algorithm, tmp_path, defers, model=lambda _: Poisoned())
    assert "nonfinite" in told
    assert torch.isfinite(world.arena.tensor("buffer:net.1.running_mean", 0)).all()
    assert torch.isfinite(world.arena.tensor("buffer:net.1.running_var", 0)).all()
    lost = 2 if defers and algorithm == "asgd" else 1
    assert world.arena.tensor("buffer:net.1.num_batches_tracked", 0).item() in (24 - lost, 24 - 2 * defers)


def normed() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 7), nn.BatchNorm1d(7), nn.ReLU(), nn.Linear(7, 2))


@pytest.mark.parametrize("read", ["snapshot", "inplace"])
def test_the_simulator_takes_them_back(read: str, tmp_path: Path):
    """The workers' counts add up to the updates; with in-place reads every worker has its own."""
    x = torch.randn(210, 6, generator=torch.Generator().manual_seed(1))
    y, bad = (x.sum(1) > 0).long(), x.clone()
    bad[17] = torch.inf
    result = hogwild.fit(
        normed, ((bad, y), (x, y)), workers=3, clock="random", epochs=2, batch_size=10, lr=0.05, read=read,
        on_nonfinite="skip", out=str(tmp_path),
    )  # fmt: skip
    assert torch.isfinite(result.model[1].running_mean).all()
    assert result.summary["updates"] == 40  # of 42 batches
    state = torch.load(Path(result.path) / "ckpt" / "last" / "state.pt", weights_only=True)
    assert sum(int(buffers["1.num_batches_tracked"]) for buffers in state["module_buffers"]) == 40
