"""What needs evaluations says so where a run has none before its end."""

from __future__ import annotations

import pytest
from callback_runs import DRIVERS, fit
from own_loops import launch, one, up
from small_fits import no_run, samples

import hogwild
from hogwild.errors import UsageError

NONE = r"EarlyStopping: no evaluation is due before the end of this run.*give a test or a validation set"


@pytest.mark.parametrize("without", [{"dataset": (samples(), None)}, {"eval_every": 0}])
@DRIVERS
def test_early_stopping_needs_evaluations(clock, without):
    with pytest.raises(UsageError, match=NONE):
        fit(hogwild.EarlyStopping(), clock=clock, **without)
    assert no_run()


def test_early_stopping_needs_evaluations_of_own_loops():
    stops = [hogwild.EarlyStopping("weight", patience=1, maximize=False)]
    weight = {"evaluate": lambda model, info: {"weight": model.weight.item()}}
    for options in ({}, weight):
        with pytest.raises(UsageError, match=NONE):
            launch(up, one, updates=9, callbacks=stops, **options)
    assert no_run()
    result = launch(up, one, updates=9, callbacks=stops, eval_updates=2, **weight)
    assert result.summary["stopped"].startswith("weight was not better in 1 evaluations")
