"""The model of runs on fake GPUs. A worker that imports it to build the model finds the fake GPUs in place as well."""

from __future__ import annotations

import multiprocessing

import fake_gpus
import pytest
import torch
from torch import nn

from hogwild.shared.placed_arena import PlacedArena

CPU = torch.device("cpu")


def compute_on_the_cpu(patch: pytest.MonkeyPatch) -> None:
    """Placed memory is that of fake GPUs, and what would run on them runs on the CPU."""
    fake_gpus.take_over(patch)
    patch.setattr(PlacedArena, "device", CPU)
    patch.setattr(PlacedArena, "device_of", lambda *_: CPU)


def model() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 6000), nn.BatchNorm1d(6000), nn.ReLU(), nn.Linear(6000, 3))


if multiprocessing.parent_process() is not None:
    compute_on_the_cpu(pytest.MonkeyPatch())
