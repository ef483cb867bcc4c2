"""A worker on a GPU with its passes in a CUDA graph against an eager one: to the bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from one_worker import net, train
from torch import Tensor, nn

from hogwild.buffers import Scope
from hogwild.drivers.processes.graph import GraphedGradient, capture
from hogwild.errors import UsageError
from hogwild.kernels import build_info
from hogwild.nn import FullNorm1d
from hogwild.tasks.data import Data

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    pytest.mark.skipif(not build_info()["cuda"], reason="hogwild._C was built without CUDA"),
]


def dropping(_: Data) -> nn.Module:
    return nn.Sequential(nn.Linear(5, 7), FullNorm1d(7), nn.Tanh(), nn.Dropout(0.3), nn.Linear(7, 3))


@pytest.mark.parametrize("model", [net, dropping])
@pytest.mark.parametrize("algorithm", ["asgd", "gap-aware", "dana-slim", "easgd", "ssgd"])
def test_the_model_is_that_of_an_eager_run(algorithm: str, model: object, tmp_path: Path) -> None:
    """Dropout draws the same numbers; the last batch of an epoch is smaller."""
    worlds = []
    for cuda_graph in (False, True):
        folder = tmp_path / str(cuda_graph)
        folder.mkdir()
        world, told = train(
            algorithm, folder, algorithm != "ssgd", batch_size=9, cuda_graph=cuda_graph, device="cuda", model=model
        )
        assert told == ["ready", "done"]
        worlds.append(world)
    eager, graphed = worlds
    assert graphed.control.version == eager.control.version > 0
    for name, spec in graphed.arena.layout.specs.items():
        rank = None if spec.scope is Scope.SHARED else 0
        if spec.dtype.is_floating_point:
            assert torch.equal(graphed.arena.tensor(name, rank), eager.arena.tensor(name, rank)), name


def test_a_loss_that_asks_for_a_value_is_refused_in_one_line() -> None:
    module = nn.Linear(5, 3).cuda()

    def evaluate(inputs: Tensor, _: Tensor) -> tuple[Tensor, list[Tensor | None]]:
        loss = module(inputs).square().mean()
        loss = loss / max(loss.item(), 1.0)
        return loss.detach(), list(torch.autograd.grad(loss, list(module.parameters())))

    graph = GraphedGradient(evaluate, module, lambda: 1, capture)
    with pytest.raises(UsageError, match="cannot be captured in a CUDA graph, perhaps it asks for a value") as caught:
        graph.prepare(torch.randn(4, 5, device="cuda"), torch.zeros(4, device="cuda"))
    assert "\n" not in str(caught.value)
