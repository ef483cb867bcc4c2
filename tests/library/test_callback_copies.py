"""The copies of a model that callbacks see: as they were at their update, whatever happens meanwhile."""

from __future__ import annotations

import math
import time

import pytest
import torch
from callback_runs import DRIVERS, fit

import hogwild


class Slow(hogwild.Callback):
    def __init__(self) -> None:
        self.rates: list[float] = []

    def on_eval(self, run):
        time.sleep(0.05)  # the worker goes on meanwhile
        self.rates.append(run.lr)


def test_the_rate_is_that_of_the_copy():
    slow = Slow()
    result = fit(slow, schedule="cosine", updates=27, epochs=None, eval_updates=4, eval_every=0)
    expected = [0.05 * (1 + math.cos(math.pi * min(at, 26) / 27)) for at in (*range(4, 27, 4), 27)]
    assert slow.rates == pytest.approx(expected)
    assert [row["lr"] for row in result.history] == slow.rates


class Freezes(hogwild.Callback):
    copies_every = 5

    def on_copy(self, run):
        run.model.requires_grad_(False)


@DRIVERS
def test_a_model_that_a_callback_freezes_shows_later_updates_all_the_same(clock):
    ema = hogwild.EMA(0.5, every=4)
    plain, frozen = fit(hogwild.EMA(0.5, every=4), clock=clock), fit(Freezes(), ema, clock=clock)
    assert torch.equal(frozen.model.weight, plain.model.weight)
    for name in ("test_loss", "ema_test_loss"):
        assert [row[name] for row in frozen.history] == [row[name] for row in plain.history]
