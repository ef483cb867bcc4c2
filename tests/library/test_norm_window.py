"""Running statistics of BatchNorm that reach back over much of a short run are said, and only those."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

import hogwild

BATCHES = 60


def model(momentum: float | None = 0.1, tracks: bool = True) -> nn.Module:
    norm = nn.BatchNorm1d(4, momentum=momentum, track_running_stats=tracks)
    return nn.Sequential(nn.Linear(3, 4), norm, nn.ReLU(), nn.Linear(4, 2))


class Frozen(nn.Sequential):
    """Its BatchNorm stays in evaluation mode."""

    def __init__(self) -> None:
        super().__init__(*model())

    def train(self, mode: bool = True) -> Frozen:
        super().train(mode)
        self[1].eval()
        return self


def said(capsys: pytest.CaptureFixture[str], make=model, **options) -> list[str]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4 * BATCHES, 3, generator=generator)
    split = x, (x[:, 0] > 0).long()
    hogwild.fit(
        make, (split, split), epochs=1, batch_size=4, lr=0.01, clock="gamma", quiet=True, eval_every=0,
        **options,
    )  # fmt: skip
    return [line for line in capsys.readouterr().err.splitlines() if "BatchNorm" in line]


def test_statistics_of_much_of_a_workers_batches_are_said(capsys):
    [line] = said(capsys, workers=2)
    assert "of its last 10 batches, and it has 30 in this run" in line
    assert "Raise the momentum of the layers (0.1), as by 2 for 2 workers" in line


@pytest.mark.parametrize(
    ("make", "workers"),
    [
        (model, 1),  # as in any other program
        (partial(model, 0.2), 2),
        (partial(model, None), 2),  # a mean of all batches
        (partial(model, tracks=False), 2),
        (Frozen, 2),
    ],
)
def test_others_are_not(make, workers, capsys):
    assert not said(capsys, make, workers=workers)
