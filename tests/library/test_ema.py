"""The average of the parameters that hogwild.EMA keeps."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from callback_runs import DRIVERS, Diary, fit, lines
from small_fits import samples
from torch import nn

import hogwild
from hogwild.drivers.checkpoints import store


@pytest.mark.parametrize("warmup", [True, False])
@DRIVERS
def test_the_average_is_that_of_the_formula(clock, warmup):
    class Watched(Diary):
        copies_every = 4

    diary, ema = Watched(), hogwild.EMA(0.9, every=4, warmup=warmup)
    result = fit(diary, ema, clock=clock)
    expected = diary.models["start", 0].double()
    for t in range(4, 28, 4):
        decay = min(0.9, (1 + t) / (10 + t)) if warmup else 0.9
        expected = decay**4 * expected + (1 - decay**4) * diary.models["copy", t].double()
    torch.testing.assert_close(ema.average["weight"].double(), expected, rtol=1e-5, atol=1e-7)
    x, y = samples(50)
    with ema.applied(result.model):
        right = (result.model(x).argmax(1) == y).float().mean().item()
    assert result.summary["ema_test_accuracy"] == pytest.approx(right)
    assert not torch.equal(ema.average["weight"], result.model.weight)
    assert all("ema_test_loss" in line for line in lines(result, "eval"))
    saved = store.load(Path(result.path) / "ckpt").state["callbacks"]["EMA"]
    assert torch.equal(saved["average"]["weight"], ema.average["weight"])


def test_only_what_is_trained_is_averaged():
    def frozen() -> nn.Module:
        model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))
        model[0].requires_grad_(False)
        return model

    ema = hogwild.EMA(every=2)
    fit(ema, model=frozen, clock="gamma")
    assert set(ema.average) == {"1.weight", "1.bias", "2.weight", "2.bias"}
