"""Small runs of hogwild.fit."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

import hogwild


def samples(count: int = 99) -> tuple[Tensor, Tensor]:
    inputs = torch.randn(count, 6, generator=torch.Generator().manual_seed(count))
    return inputs, (inputs.sum(1) > 0).long()


def two() -> nn.Module:
    return nn.Linear(6, 2)


def one() -> nn.Module:
    return nn.Linear(6, 1)


def simulate(model=two, dataset=None, loss_fn=None, **options) -> hogwild.Result:
    """A short run in this process."""
    values = {"clock": "round-robin", "epochs": 2, "batch_size": 11, "lr": 0.1, "device": "cpu", **options}
    return hogwild.fit(model, dataset or (samples(), samples(50)), loss_fn, **values)


def no_run() -> bool:
    return not Path("runs").exists() or not list(Path("runs").iterdir())


def weights(model: nn.Module) -> Tensor:
    return torch.cat([value.detach().flatten() for value in model.state_dict().values()])


class Recording(nn.Module):
    """Keeps what it has been trained with."""

    seen: ClassVar[list[list[int]]] = []

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.seen.append((x[:, 0] * 100).round().int().tolist())
        return self.last(x)
