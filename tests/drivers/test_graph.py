"""A worker with a replayed forward and backward pass gives the same model. The graph is emulated on the CPU by an
object that runs its work again, into the memory of its first results.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from one_worker import net, train
from slow import rest_is_slow
from torch import Tensor, nn

from hogwild.algorithms import REGISTRY
from hogwild.buffers import Scope
from hogwild.config import Config
from hogwild.drivers.job import device
from hogwild.drivers.processes import computation
from hogwild.drivers.processes.graph import GraphedGradient
from hogwild.errors import UsageError

FULL = 20  # of 22 batches: 96 samples in batches of 9, twice
WAITING = {name for name, cls in REGISTRY.items() if cls().barriers_per_round or cls().follows_updates}
DEFERRED = [(name, True) for name in sorted(REGISTRY.keys() - WAITING)]
FEW = {(name, True) for name in ("asgd", "gap-aware", "easgd", "softsync", "ad-psgd")}
CASES = [(name, False) for name in sorted(REGISTRY)] + rest_is_slow(DEFERRED, FEW)


class Rerun:
    """The emulated CUDA graph."""

    def __init__(self) -> None:
        self.captures = self.replays = 0

    def __call__(self, work: Callable[[], Any]) -> tuple[Callable[[], None], Any]:
        self.captures += 1
        loss, gradients = work()

        def replay() -> None:
            self.replays += 1
            new_loss, new_gradients = work()
            loss.copy_(new_loss)
            for place, g in zip(gradients, new_gradients, strict=True):
                place.copy_(g)

        return replay, (loss, gradients)


@pytest.fixture
def rerun(monkeypatch: pytest.MonkeyPatch) -> Rerun:
    found = Rerun()
    monkeypatch.setattr(computation, "GraphedGradient", partial(GraphedGradient, capture=found))
    return found


@pytest.mark.parametrize(("algorithm", "defers"), CASES)
def test_the_model_is_that_of_an_eager_run(algorithm: str, defers: bool, tmp_path: Path, rerun: Rerun) -> None:
    """Also checks that every algorithm takes all gradients at one address; else they would not be replayed."""
    for name in ("eager", "graph"):
        (tmp_path / name).mkdir()
    eager, told_eager = train(algorithm, tmp_path / "eager", defers, batch_size=9)
    graphed, told_graphed = train(algorithm, tmp_path / "graph", defers, batch_size=9, cuda_graph=True)
    assert (rerun.captures, rerun.replays) == (1, FULL)
    assert told_graphed == told_eager == ["ready", "done"]
    for name, spec in graphed.arena.layout.specs.items():
        rank = None if spec.scope is Scope.SHARED else 0
        if spec.dtype.is_floating_point:
            assert torch.equal(graphed.arena.tensor(name, rank), eager.arena.tensor(name, rank)), name
    assert graphed.control.version == eager.control.version > 0
    assert graphed.control.stats(0)["loss_sum"] == eager.control.stats(0)["loss_sum"] != 0


class Holder:
    """A module over a flat buffer, and its loss and gradients; how often they were computed."""

    def __init__(self) -> None:
        self.module = net()
        self.place, self.evaluated = 1, 0

    def evaluate(self, inputs: Any, targets: Tensor) -> tuple[Tensor, list[Tensor | None]]:
        self.evaluated += 1
        loss = nn.functional.cross_entropy(self.module(inputs["x"]), targets)
        return loss.detach(), list(torch.autograd.grad(loss, list(self.module.parameters())))


def batch(size: int) -> tuple[dict[str, Tensor], Tensor]:
    return {"x": torch.randn(size, 5)}, torch.randint(3, (size,))


def test_batches_unlike_the_captured_one_are_evaluated_without_the_graph() -> None:
    holder, rerun = Holder(), Rerun()
    graph = GraphedGradient(holder.evaluate, holder.module, lambda: holder.place, rerun)
    graph.prepare(*batch(8))
    first = graph(*batch(8))
    assert rerun.replays == 1
    inputs, targets = batch(7)
    loss, gradients = graph(inputs, targets)
    assert rerun.replays == 1  # a smaller batch
    want, wanted = holder.evaluate(inputs, targets)
    assert torch.equal(loss, want)
    assert all(torch.equal(g, w) for g, w in zip(gradients, wanted, strict=True))
    graph({"x": torch.randn(8, 10)[:, ::2]}, targets=torch.randint(3, (8,)))
    assert rerun.replays == 1  # other strides
    holder.place = 2
    graph(*batch(8))
    assert rerun.replays == 1  # the parameters have moved
    holder.place = 1
    assert graph(*batch(8))[0] is first[0]  # the graph's own memory
    assert rerun.replays == 2


def test_a_batch_is_not_the_one_that_was_captured() -> None:
    holder, rerun = Holder(), Rerun()
    holder.module.eval()
    graph = GraphedGradient(holder.evaluate, holder.module, lambda: holder.place, rerun)
    kept = batch(8)
    graph.prepare(*kept)
    inputs, targets = batch(8)
    before = inputs["x"].clone(), kept[0]["x"].clone()
    loss, gradients = graph(inputs, targets)
    want, wanted = holder.evaluate(inputs, targets)
    assert torch.equal(loss, want)
    assert all(torch.equal(g, w) for g, w in zip(gradients, wanted, strict=True))
    assert torch.equal(inputs["x"], before[0])  # neither batch is changed
    assert torch.equal(kept[0]["x"], before[1])


def test_a_model_that_makes_its_buffers_anew_is_refused() -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(5))
            self.register_buffer("seen", torch.zeros(()))

        def forward(self, x: Tensor) -> Tensor:
            self.seen = self.seen + 1
            return x @ self.weight

    module = Counting()

    def evaluate(inputs: Tensor, _: Tensor) -> tuple[Tensor, list[Tensor | None]]:
        loss = module(inputs).square().mean()
        return loss.detach(), list(torch.autograd.grad(loss, [module.weight]))

    graph = GraphedGradient(evaluate, module, lambda: 1, Rerun())
    with pytest.raises(UsageError, match="the model replaces its buffers, which a CUDA graph cannot follow"):
        graph.prepare(torch.randn(4, 5), torch.zeros(4))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "cpu"}, "cuda_graph needs a GPU, but device is cpu: leave it out"),
        ({"compile": True}, "compile and cuda_graph are both given, and have not been tested together"),
        ({"clock": "gamma"}, "cuda_graph concerns worker processes, and --clock simulates them in one: leave it out"),
    ],
)
def test_options_that_exclude_a_cuda_graph(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Config(cuda_graph=True, **options)


@pytest.mark.skipif(torch.cuda.is_available(), reason="for machines without a GPU")
def test_without_a_gpu_it_is_refused_and_not_ignored() -> None:
    with pytest.raises(UsageError, match="--cuda-graph needs a GPU, and --device auto found none: leave it out"):
        device.resolve(Config(cuda_graph=True))
