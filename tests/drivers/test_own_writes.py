"""What a model's own code writes to its parameters holds, or is refused by name; it is never lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from one_worker import train
from torch import nn

import hogwild
from hogwild.drivers.view.own_writes import EVERY, FIRST
from hogwild.errors import UsageError

LIMIT = 0.04
Act = Callable[["Net"], None]


class Net(nn.Module):
    """Does something to its parameters in the `when`-th forward pass, and all later ones."""

    def __init__(self, act: Act, when: int = 1):
        super().__init__()
        self.first, self.last = nn.Linear(5, 7), nn.Linear(7, 3)
        self.kept = nn.Parameter(torch.ones(7), requires_grad=False)
        self.act, self.when, self.calls = act, when, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += self.training
        if self.training and self.calls >= self.when:
            self.act(self)
        return self.last(torch.tanh(self.first(x)) * self.kept)


def clamp(net: Net) -> None:
    with torch.no_grad():
        net.last.weight.clamp_(-LIMIT, LIMIT)


def clamp_data(net: Net) -> None:
    net.last.weight.data.clamp_(-LIMIT, LIMIT)


def load(net: Net) -> None:
    net.load_state_dict({name: value / 2 for name, value in net.state_dict().items()})


def move(net: Net) -> None:
    net.last.weight.data = net.last.weight.data.clone()


def move_frozen(net: Net) -> None:
    net.kept.data = net.kept.data.clone()


def freeze(net: Net) -> None:
    net.last.weight.requires_grad = False


def unfreeze(net: Net) -> None:
    net.kept.requires_grad = True


def replace(net: Net) -> None:
    net.last.weight = nn.Parameter(net.last.weight.detach().clone())


REFUSED = [
    (clamp, r"parameter last\.weight was written by other code than the optimizer.*read=\"inplace\""),
    (clamp_data, r"parameter last\.weight was written by other code"),
    (load, r"parameter first\.weight was written by other code"),
    (move, r"data of the model's parameter last\.weight no longer are the memory of the run"),
    (move_frozen, r"data of the model's parameter kept no longer"),
    (freeze, r"parameter last\.weight was frozen while the run goes on"),
    (unfreeze, r"parameter kept was unfrozen while the run goes on"),
    (replace, r"parameter last\.weight was replaced"),
]


class Make:
    def __init__(self, act: Act, when: int):
        self.act, self.when = act, when

    def __call__(self, _data: object = None) -> Net:
        return Net(self.act, self.when)


@pytest.mark.parametrize("when", [1, 6])
@pytest.mark.parametrize(("act", "message"), REFUSED)
def test_a_worker_refuses_what_would_be_lost(act: Act, message: str, when: int, tmp_path: Path):
    if act is clamp_data and when > FIRST:
        pytest.skip(f"past torch's count of writes: found in every {EVERY}th step")
    make = Make(act, when)
    made: list[Net] = []
    with pytest.raises(UsageError, match=message) as refused:
        train("asgd", tmp_path, False, model=lambda data: made.append(make(data)) or made[-1])
    assert made[-1].calls == when  # the one of the worker: at once
    assert "\n" not in str(refused.value)


def points() -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(330, 5, generator=torch.Generator().manual_seed(1))
    return x, (x.sum(1) > 0).long()


@pytest.mark.parametrize(("act", "message"), REFUSED)
def test_the_simulator_refuses_the_same(act: Act, message: str, tmp_path: Path):
    with pytest.raises(UsageError, match=message):
        hogwild.fit(Make(act, 2), (points(), points()), workers=2, clock="random", batch_size=10, out=str(tmp_path))


@pytest.mark.parametrize("algorithm", ["asgd", "easgd"])
@pytest.mark.parametrize("act", [clamp, clamp_data])
def test_what_is_written_in_place_holds(act: Act, algorithm: str, tmp_path: Path):
    """One worker, lr so small that a step is nothing beside the clamp. easgd: at the worker's replica."""
    how = {"read": "inplace"} if algorithm == "asgd" else {}
    data = (points(), points())
    result = hogwild.fit(
        Make(act, 1), data, workers=1, clock="random", batch_size=10, lr=1e-5, epochs=9, algorithm=algorithm,
        out=str(tmp_path), **how,
    )  # fmt: skip
    bound = LIMIT + 1e-3 if algorithm == "asgd" else 0.3  # the center follows the replicas
    assert result.model.last.weight.abs().max() < bound


class Bounded(nn.Module):
    def __init__(self, frozen: bool = False):
        super().__init__()
        self.rows = nn.EmbeddingBag(9, 5, max_norm=0.5)
        self.rows.weight.requires_grad = not frozen
        self.last = nn.Linear(5, 2)

    def forward(self, i: torch.Tensor) -> torch.Tensor:
        return self.last(self.rows(i))


def bounded() -> nn.Module:
    return Bounded()


def bounded_frozen() -> nn.Module:
    return Bounded(frozen=True)


@pytest.mark.parametrize("clock", [None, "random"])
def test_an_embedding_with_max_norm_is_refused_before_the_first_step(clock: str | None, tmp_path: Path):
    i = torch.arange(90).view(45, 2) % 9
    data = ((i, i[:, 0] % 2), (i, i[:, 0] % 2))
    with pytest.raises(UsageError, match=r"the model's EmbeddingBag rows has max_norm=0\.5"):
        hogwild.fit(bounded, data, workers=1, clock=clock, batch_size=5, out=str(tmp_path))
    for make, read in ((bounded, "inplace"), (bounded_frozen, "snapshot")):
        result = hogwild.fit(make, data, workers=1, clock="random", batch_size=5, read=read, out=str(tmp_path))
        assert result.model.rows.weight.norm(dim=1).max() < 0.5 + 0.1


def plain() -> nn.Module:
    return nn.Linear(5, 2)


def clipping(worker: hogwild.Worker) -> None:
    x, y = points()
    for _ in range(20):
        worker.step(nn.functional.cross_entropy(worker.model(x), y))
        with torch.no_grad():
            for parameter in worker.model.parameters():
                parameter.clamp_(-LIMIT, LIMIT)


def clips_once(worker: hogwild.Worker) -> None:
    """After its last step."""
    x, y = points()
    for _ in range(5):
        worker.step(nn.functional.cross_entropy(worker.model(x), y))
    worker.model.weight.data.clamp_(-LIMIT, LIMIT)
    worker.model.weight.requires_grad = False


def test_an_own_loop_that_writes(tmp_path: Path):
    with pytest.raises(UsageError, match=r"parameter weight was written.*private copy"):
        hogwild.launch(clipping, plain, workers=2, lr=0.1, out=str(tmp_path))
    with pytest.raises(UsageError, match=r"parameter weight was frozen"):
        hogwild.launch(clips_once, plain, workers=1, lr=0.1, out=str(tmp_path))
    result = hogwild.launch(clipping, plain, workers=2, lr=0.1, read="inplace", out=str(tmp_path))
    assert max(parameter.abs().max() for parameter in result.model.parameters()) < 3 * LIMIT
