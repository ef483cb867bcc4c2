"""The interface of contestants: a worker's model, and one step that takes a gradient and averages."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn


def model(hidden: int) -> nn.Module:
    """784 - 2 hidden - hidden - 10, the same parameters in every process: 1,333,770 with 512 hidden units."""
    torch.manual_seed(0)
    sizes = (784, 2 * hidden, hidden, 10)
    return nn.Sequential(*(nn.Linear(a, b) for a, b in itertools.pairwise(sizes)))


class Contestant(ABC):
    """One process's part of a contestant. All processes start with the same `model`."""

    @abstractmethod
    def step(self, g: Sequence[Tensor], lr: float) -> None:
        """One step of plain SGD with this worker's gradient (one tensor per parameter), and one averaging."""

    @abstractmethod
    def models(self) -> list[Tensor]:
        """The flat models of this process, its worker's first."""


def flat(module: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().reshape(-1) for parameter in module.parameters()])
