"""Small runs of hogwild.fit."""

from __future__ import annotations

from pathlib import Path

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
