"""What comes again and again in a run, and what needs it, says so where the run ends before."""

from __future__ import annotations

import pytest
from callback_runs import DRIVERS, fit
from own_loops import launch, one, up
from small_fits import no_run, samples

import hogwild
from hogwild.errors import UsageError

NONE = r"EarlyStopping: no evaluation is due before the end of this run.*give a test or a validation set"


@pytest.mark.parametrize("without", [{"dataset": (samples(), None)}, {"eval_every": 0}, {"eval_every": 3}])
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


def test_early_stopping_says_that_it_is_more_patient_than_the_run_is_long(capsys: pytest.CaptureFixture[str]):
    fit(hogwild.EarlyStopping(patience=2), clock="gamma", quiet=True)  # after epochs 1 and 2
    assert "2 evaluations are due before the end of this run, and patience 2 needs 3" in capsys.readouterr().err
    fit(hogwild.EarlyStopping(patience=1), clock="gamma", quiet=True)
    assert not capsys.readouterr().err


LONGER: list[tuple[dict[str, object], dict[str, object], str]] = [
    ({"eval_updates": 28}, {"eval_updates": 27}, "the run is 27 updates long; the one evaluation is at the end"),
    ({"eval_every": 3.5}, {"eval_every": 3}, "eval_every 3.5 never comes: the run is 3 epochs long"),
    ({"every": 28}, {"every": 27}, "EMA.copies_every 28 never comes: the run is 27 updates long"),
    ({"edge_every": 28}, {"edge_every": 0}, "edge_every 28 never comes"),
    ({"schedule": "step", "step_epochs": (1, 4)}, {"step_epochs": (1, 2)}, "step_epochs 4 never comes: the run is 3"),
    ({"algorithm": "easgd", "period": 10, "workers": 3}, {"period": 9}, "the run is 9 gradients of each worker long"),
]


@pytest.mark.parametrize(("options", "shorter", "line"), LONGER, ids=[next(iter(case[1])) for case in LONGER])
def test_an_interval_longer_than_the_run_is_said(options, shorter, line, capsys: pytest.CaptureFixture[str]):
    for given, is_said in (options, True), ({**options, **shorter}, False):
        callbacks = [hogwild.EMA(every=given["every"])] if "every" in given else []
        fit(*callbacks, clock="gamma", quiet=True, **{name: given[name] for name in given if name != "every"})
        said = [text for text in capsys.readouterr().err.splitlines() if "never comes" in text]
        assert [line in text for text in said] == [True] * is_said
