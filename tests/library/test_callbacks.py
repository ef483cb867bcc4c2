"""Callbacks: when they are called and with which model, what they may do, and what their failures come to."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from callback_runs import DRIVERS, Diary, fit, lines
from small_fits import simulate
from torch import Tensor, nn

import hogwild
from hogwild.drivers.checkpoints import store
from hogwild.errors import OwnCodeError, UsageError


@DRIVERS
def test_calls_come_in_order_at_exact_updates_with_the_model_of_that_update(clock):
    diary = Diary()
    result = fit(diary, clock=clock)
    evaluations = [(9, 99), (18, 198), (27, 297)]
    copies = [(7, 77), (14, 154), (21, 231)]
    saved = evaluations if clock is None else evaluations[-1:]
    wanted = [("start", 0, 0)]
    wanted += sorted(
        [("copy", *at) for at in copies]
        + [("eval", *at) for at in evaluations]
        + [("checkpoint", *at) for at in saved],
        key=lambda call: (call[1], -"copy eval checkpoint".index(call[0]) * -1),
    )
    assert diary.calls == wanted
    assert torch.equal(diary.models["eval", 27], result.model.weight)
    assert not torch.equal(diary.models["eval", 18], diary.models["eval", 9])
    recorded = lines(result, "eval")
    assert [line["weights"] for line in recorded] == [diary.models["eval", at].sum().item() for at, _ in evaluations]
    assert result.summary["weights"] == recorded[-1]["weights"]
    assert diary.error is None
    assert diary.summary["updates"] == 27


def test_what_a_callback_does_to_the_model_changes_neither_the_run_nor_its_result():
    class Vandal(hogwild.Callback):
        copies_every = 2

        def on_copy(self, run):
            nn.init.zeros_(run.model.weight)
            run.model.eval()

        on_eval = on_checkpoint = on_end = on_copy

    assert torch.equal(fit(Vandal(), clock="gamma").model.weight, fit(clock="gamma").model.weight)
    assert torch.equal(fit(Vandal()).model.weight, fit().model.weight)


# ---- stopping -----------------------------------------------------------------------------------------------


class StopAt(hogwild.Callback):
    copies_every = 5

    def __init__(self, updates: int) -> None:
        self.updates = updates
        self.weight: Tensor | None = None

    def on_copy(self, run):
        if run.updates >= self.updates and self.weight is None:
            self.weight = run.model.weight.detach().clone()
            run.stop("enough")


@pytest.mark.parametrize("workers", [1, 3])
@DRIVERS
def test_a_run_that_is_stopped_ends_with_the_model_that_the_callback_saw(clock, workers):
    callback = StopAt(10)
    result = fit(callback, clock=clock, workers=workers, epochs=30)
    assert torch.equal(result.model.weight, callback.weight)
    summary = json.loads((Path(result.path) / "summary.json").read_text())
    assert (summary["exit_reason"], summary["stopped"]) == ("stopped", "enough")
    assert summary["updates"] == lines(result, "eval")[-1]["updates"] < 270
    if workers == 1:
        assert summary["updates"] == 10
    last = store.load(Path(result.path) / "ckpt")
    assert last.step == summary["updates"]
    assert torch.equal(last.state["parameters"]["weight"], callback.weight)


class Scripted(hogwild.Callback):
    """Gives the run a metric from a list."""

    def __init__(self, *values: float) -> None:
        self.values = list(values)

    def on_eval(self, run):
        run.metrics["quality"] = self.values.pop(0)


@pytest.mark.parametrize(
    ("values", "options", "evaluations"),
    [
        ([1.0, 0.9, 0.95, 0.9, 0.8], {"patience": 2, "maximize": False}, 4),
        ([1.0, 0.9, 0.95, 0.85, 0.9, 0.9], {"patience": 2, "maximize": False}, 6),
        ([1.0, 0.99, 0.98, 0.4], {"patience": 2, "min_delta": 0.1, "maximize": False}, 3),
        ([0.1, float("nan"), 0.3, 0.2, 0.1], {"patience": 2, "maximize": True}, 5),
        ([float("nan")] * 3, {"patience": 3, "maximize": True}, 3),
    ],
)
def test_early_stopping_counts_evaluations_that_are_not_better(values, options, evaluations):
    callbacks = Scripted(*values), hogwild.EarlyStopping("quality", **options)
    result = fit(*callbacks, epochs=len(values) + 1, clock="round-robin") if evaluations else None
    assert len(lines(result, "eval")) == evaluations
    assert result.summary["stopped"].startswith("quality was not better in")


def test_early_stopping_begins_afresh_with_each_run():
    stopping = hogwild.EarlyStopping("quality", patience=2, maximize=False)
    for _ in range(2):
        result = fit(Scripted(0.1, 0.2, 0.05, 0.2, 0.2, 0.2), stopping, epochs=7, clock="round-robin")
        assert len(lines(result, "eval")) == 5


class Wants(hogwild.Callback):
    def __init__(self, every: object) -> None:
        self.copies_every = every


class Adds(hogwild.Callback):
    def __init__(self, **metrics: object) -> None:
        self.metrics = metrics

    def on_eval(self, run):
        run.metrics.update(self.metrics)


def test_a_tensor_of_one_element_is_a_metric():
    result = fit(Adds(norm=torch.tensor(0.5)), clock="round-robin", csv=True)
    assert (result.history[-1]["norm"], result.summary["norm"]) == (0.5, 0.5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: hogwild.EarlyStopping("quality"), "'quality' does not tell whether larger is better: give maximize"),
        (lambda: hogwild.EarlyStopping(patience=0), "patience 0 must be >= 1"),
        (lambda: hogwild.EMA(1.0), "decay 1 must be between 0 and 1"),
        (lambda: fit(hogwild.EarlyStopping("test_f1"), clock="gamma"), "no metric 'test_f1'; this run has: test_loss"),
        (lambda: fit(hogwild.EMA, clock="gamma"), "no hogwild.Callback .its class: call it."),
        (lambda: fit(print, clock="gamma"), "callbacks: builtin_function_or_method .* is no hogwild.Callback"),
        (lambda: simulate(callbacks=hogwild.EMA()), "callbacks must be a list of hogwild.Callback objects; it is EMA"),
        (lambda: fit(Wants("7"), clock="gamma"), "Wants wants a copy every str '7' updates: give a whole number"),
        (lambda: fit(Wants(-3), clock="gamma"), "Wants wants a copy every int -3 updates: give a whole number"),
        (lambda: hogwild.EarlyStopping(maximize="min"), "maximize is True, False or None; it is 'min'"),
        (lambda: fit(Adds(lr=0.1), clock="gamma"), "run.metrics, .* has 'lr', which the run records itself: call it"),
        (lambda: fit(Adds(sums=torch.ones(3)), clock="gamma"), "run.metrics, .* has 'sums' = Tensor .* not one number"),
    ],
)
def test_wrong_callbacks_are_told_in_one_line(make, message):
    with pytest.raises(UsageError, match=message):
        make()


# ---- failures and faults ------------------------------------------------------------------------------------


class Fails(hogwild.Callback):
    copies_every = 4

    def __init__(self, hook: str) -> None:
        self.calls = 0
        setattr(self, hook, self.fail)

    def fail(self, run):
        self.calls += 1
        if run.updates != 4:
            raise ZeroDivisionError("of my own")

    def state_dict(self):
        return {"calls": self.calls}


@pytest.mark.parametrize("hook", ["on_start", "on_copy", "on_eval", "on_checkpoint", "on_end"])
@DRIVERS
def test_a_callback_that_fails_ends_the_run_with_a_checkpoint_and_its_traceback(clock, hook):
    failing, diary = Fails(hook), Diary()
    with pytest.raises(
        OwnCodeError, match=rf"the callback Fails.{hook} failed: ZeroDivisionError: of my own"
    ) as caught:
        fit(failing, diary, clock=clock)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert caught.value.__cause__.__traceback__ is not None
    (run,) = Path("runs").iterdir()
    assert 'raise ZeroDivisionError("of my own")' in (run / "log.txt").read_text()
    assert json.loads((run / "summary.json").read_text())["exit_reason"] == "failed"
    assert failing.calls == (2 if hook == "on_copy" else 1)
    if hook != "on_end":
        assert isinstance(diary.error, OwnCodeError)
    names = store.names(run / "ckpt")
    assert bool(names) == (hook != "on_start")
    if names:
        assert store.load(run / "ckpt").step >= {"on_copy": 8}.get(hook, 9)


def test_a_state_that_a_checkpoint_cannot_hold_is_refused():
    class Odd(hogwild.Callback):
        def state_dict(self):
            return {"what": object()}

    with pytest.raises(OwnCodeError, match=r"Odd.state_dict failed: TypeError: Odd.state_dict\(\) holds object"):
        fit(Odd(), clock="gamma")


class Poisoned(nn.Module):
    """Its third gradient is not finite."""

    def __init__(self) -> None:
        super().__init__()
        self.last, self.calls = nn.Linear(6, 2), 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += self.training
        return self.last(x) * (torch.inf if self.calls == 3 else 1)


@DRIVERS
def test_faults_are_heard(clock):
    class Listens(hogwild.Callback):
        faults: ClassVar[list] = []

        def on_fault(self, run):
            self.faults.append(dict(run.fault))

    Listens.faults = []
    result = fit(Listens(), model=Poisoned, on_nonfinite="skip", clock=clock)
    (fault,) = Listens.faults
    assert (fault["reason"], fault["worker"]) == ("nonfinite", 0)
    assert lines(result, "fault")[0]["message"] == fault["message"]


# ---- evaluations do not hold the workers --------------------------------------------------------------------


class Signals(nn.Module):
    """Says by a file that a worker computes its 15th batch, which is in the second epoch; an evaluation comes first."""

    def __init__(self) -> None:
        super().__init__()
        self.last, self.calls = nn.Linear(6, 2), 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += self.training
        while self.calls == 12 and not Path("evaluated").exists():
            time.sleep(0.001)
        if self.calls == 15:
            Path("trained on").touch()
        return self.last(x)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_go_on_while_a_copy_is_evaluated_and_shown(workers):
    class Waits(hogwild.Callback):
        seen = False

        def on_eval(self, run):
            Path("evaluated").touch()
            deadline = time.monotonic() + 60
            while not Path("trained on").exists() and time.monotonic() < deadline:
                time.sleep(0.005)
            self.seen |= Path("trained on").exists() and run.updates < 27 * workers

    callback = Waits()
    result = fit(callback, model=Signals, workers=workers, epochs=3 * workers)
    assert callback.seen
    assert 0 < result.summary["eval_s"] < result.summary["wall_s"] + 60
