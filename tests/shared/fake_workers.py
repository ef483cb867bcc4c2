"""The model of runs on fake GPUs. A worker that imports this module to build the model installs the fake GPUs too."""

from __future__ import annotations

import multiprocessing

import fake_gpus
import pytest
import torch
from torch import nn

from hogwild.shared.placed_arena import PlacedArena

CPU = torch.device("cpu")


def compute_on_the_cpu(patch: pytest.MonkeyPatch) -> None:
    """Placed memory becomes that of fake GPUs, and their computations run on the CPU."""
    fake_gpus.take_over(patch)
    patch.setattr(PlacedArena, "device", CPU)
    patch.setattr(PlacedArena, "device_of", lambda *_: CPU)


def model() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 6000), nn.BatchNorm1d(6000), nn.ReLU(), nn.Linear(6000, 3))


if multiprocessing.parent_process() is not None:
    compute_on_the_cpu(pytest.MonkeyPatch())
