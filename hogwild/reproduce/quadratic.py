"""The stability edge of a real algorithm file, measured in the simulator: one run scans all learning rates.

Model: loss = sum_i k_i x_i^2 / 2 in float64, lr = 1, x = 1 at the start. Coordinate i then obeys the recurrence of
curvature x lr = k_i exactly. The growth rate of |x_i| over the second half of the run changes its sign at the edge.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hogwild.config import Config
from hogwild.drivers.job.job import make_job
from hogwild.drivers.simulated.run import SimulatedRun
from hogwild.reproduce.training import begin
from hogwild.tasks.data import Data, Split

BELOW, ABOVE = 0.8, 1.15  # range of the scan, in units of the expected edge
POINTS = 41


class Point(nn.Module):
    """A model with parameters x [n]. Its output is x for every input."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.x = nn.Parameter(torch.ones(n, dtype=torch.float64))

    def forward(self, _inputs: Tensor) -> Tensor:
        return self.x


class Nothing(Split):
    """Samples without content."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def batch(self, index: Tensor, *, train: bool) -> tuple[Any, Any]:
        return index, train


@dataclass(frozen=True)
class Quadratic:
    """The loss sum_i k_i x_i^2 / 2, with curvatures k [n]."""

    k: Tensor

    def __call__(self, x: Tensor, _target: Tensor) -> Tensor:
        return (self.k * x * x).sum() / 2


def start(k: Tensor, values: Mapping[str, Any]) -> SimulatedRun:
    """A simulation of the quadratic with curvatures k [n]. `values` are fields of Config."""
    config = Config.from_values(
        {"data": "quadratic:none", "model": "quadratic:none", "lr": 1.0, "batch_size": 1, "dtype": "float64", **values}
    )
    data = Data("quadratic", Nothing(config.workers), Nothing(0), (), 0, "vector", loss=Quadratic(k))
    return begin(make_job(config, data, lambda _: Point(len(k))))


def edge(
    *, algorithm: str, options: dict[str, float], workers: int, clock: str, near: float, updates: int, seed: int = 0
) -> float | None:
    """The curvature x lr above which |x| grows; None if it is not between BELOW and ABOVE x `near`.

    The growth rate is interpolated between two points of the scan. Under a random clock it is the edge for this one
    sequence of delays, which is the same for every point.
    """
    k = near * torch.linspace(BELOW, ABOVE, POINTS, dtype=torch.float64)
    values = {"algorithm": algorithm, "workers": workers, "clock": clock, "updates": updates, "seed": seed}
    simulation = start(k, {**values, **options})
    x = simulation.world.layout.views(simulation.world.arena.tensor("x"))[0]
    window = updates // 4
    peaks = [torch.zeros(POINTS, dtype=torch.float64) for _ in range(4)]
    for update in range(4 * window):
        simulation.advance()
        peak = peaks[update // window]
        torch.maximum(peak, x.abs(), out=peak)
    growth = (peaks[3] / peaks[1]).log() / (2 * window)
    rising = [bool(value > 0) for value in growth]
    if rising[0] or not rising[-1]:
        return None
    first = rising.index(True)
    low, high = float(growth[first - 1]), float(growth[first])
    return float(k[first - 1] + (k[first] - k[first - 1]) * low / (low - high))


def radius(*, algorithm: str, workers: int, period: int, k: float, cycles: int) -> float:
    """The factor by which center and replicas shrink or grow per cycle, in which every worker takes `period` steps.

    Workers in turn, curvature x lr = k. The factor compares the peak of their norm at the ends of cycles over the last
    third of the run with the peak over the third before.
    """
    updates = workers * period * cycles
    values = {"algorithm": algorithm, "workers": workers, "clock": "round-robin", "updates": updates, "period": period}
    simulation = start(torch.full((1,), k, dtype=torch.float64), values)
    arena = simulation.world.arena
    models = [arena.tensor("x"), *(arena.tensor("replica", rank) for rank in range(workers))]
    norms = []
    for update in range(updates):
        simulation.advance()
        if (update + 1) % (workers * period) == 0:
            norms.append(float(torch.cat(models).norm()))
    third = cycles // 3
    return float((max(norms[-third:]) / max(norms[-2 * third : -third])) ** (1 / third))
