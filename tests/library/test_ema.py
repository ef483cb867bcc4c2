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
from hogwild.errors import UsageError


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


def test_the_average_begins_afresh_with_each_run():
    ema = hogwild.EMA(0.9, every=4)
    first, second = (fit(ema, clock="round-robin").summary["ema_test_loss"] for _ in range(2))
    assert first == second


def test_the_last_update_is_in_the_average():
    class Watched(Diary):
        copies_every = 9

    diary, ema = Watched(), hogwild.EMA(0.9, every=9, warmup=False)
    result = fit(diary, ema, clock="round-robin")
    assert [at for hook, at, _ in diary.calls if hook == "copy"] == [9, 18, 27] == [9, 18, result.summary["updates"]]
    expected = diary.models["start", 0]
    for t in (9, 18, 27):
        expected = 0.9**9 * expected + (1 - 0.9**9) * diary.models["copy", t]
    torch.testing.assert_close(hogwild.load(result, ema=True)["weight"], expected)


def test_the_average_of_a_run_that_goes_on_is_that_of_one_run():
    options = {"validation": 0.2, "ckpt_every": 0}
    first = fit(hogwild.EMA(0.9, every=8), epochs=1, **options)
    assert first.summary["updates"] == 8
    both = [fit(hogwild.EMA(0.9, every=8), epochs=3, resume=resume, **options) for resume in (first.path, None)]
    assert both[0].summary["ema_val_loss"] == both[1].summary["ema_val_loss"]


def test_two_averages_do_not_hide_each_other():
    with pytest.raises(UsageError, match=r"there are several averages, and ema_test_loss, .*: give one EMA"):
        fit(hogwild.EMA(0.9), hogwild.EMA(0.99), clock="round-robin")


class Slow(hogwild.EMA):
    def state_dict(self):
        return super().state_dict() | {"of": "mine"}

    def on_eval(self, run):
        run.metrics["slow"] = float(self._updates)


def test_the_average_of_a_derived_class_is_found():
    slow = Slow(0.9, every=4)
    result = fit(slow, clock="round-robin")
    assert torch.equal(hogwild.load(result, ema=True)["weight"], slow.average["weight"])
    fast = hogwild.EMA(0.5, every=4)
    result = fit(slow, fast, clock="round-robin")
    for name, one in (("Slow", slow), ("EMA", fast)):
        assert torch.equal(hogwild.load(result, ema=name)["weight"], one.average["weight"])
    for wrong in (True, "Fast"):
        with pytest.raises(UsageError, match=r"has an average of Slow, EMA: give one of them, ema=NAME"):
            hogwild.load(result, ema=wrong)
