"""What a run of own loops reports: evaluations, checkpoints, callbacks, metrics and prints."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from own_loops import endless, launch, lines, loss_of, one, up
from small_fits import samples, simulate
from torch import nn

import hogwild
from hogwild.drivers.checkpoints import store
from hogwild.drivers.instruments.numbers import SUMMARY
from hogwild.errors import OwnCodeError, UsageError


def evaluate(model: nn.Module, info) -> dict[str, float]:
    assert not model.training
    assert not torch.is_grad_enabled()
    return {"weight": model.weight.sum().item(), "updates_seen": info.updates, "samples_seen": info.samples}


class Collects(hogwild.Callback):
    def __init__(self) -> None:
        self.seen: list[tuple[int, float]] = []

    def on_eval(self, run):
        self.seen.append((run.updates, run.metrics["weight"]))


def test_evaluations_and_checkpoints_come_by_updates_on_copies():
    callback = Collects()
    result = launch(
        up, one, updates=10, eval_updates=4, ckpt_updates=5, evaluate=evaluate, maximize=True, callbacks=[callback]
    )
    assert [at for at, _ in callback.seen] == [4, 8, 10]
    assert [weight for _, weight in callback.seen] == [pytest.approx(0.1 * at) for at in (4, 8, 10)]
    assert [line["samples_seen"] for line in lines(result, "eval")] == [4, 8, 10]
    assert result.summary["weight"] == pytest.approx(1.0)
    assert store.names(Path(result.path) / "ckpt") == ["step-00000005", "step-00000010"]
    assert hogwild.load(result, "best")["weight"].item() == pytest.approx(1.0)
    gates = lines(result, "gate")  # the end of the run needs none
    assert [gate["why"] for gate in gates] == [["evaluation"], ["checkpoint"], ["evaluation"]]
    assert all(0 < gate["closed"] <= gate["drained"] <= gate["opened"] for gate in gates)


def until_told(worker: hogwild.Worker) -> None:
    while not Path("seen").exists() and not worker.should_stop:
        worker.step(-worker.model(torch.ones(1, 1)).sum())


def see(model: nn.Module, info) -> dict[str, float]:
    if info.updates > 0:
        Path("seen").touch()
    return {"return": info.seconds}


def test_evaluations_come_by_seconds():
    result = launch(until_told, one, workers=2, eval_seconds=0.01, evaluate=see)
    assert len(lines(result, "eval")) >= 2


def fails_late(model: nn.Module, info) -> dict[str, float]:
    return {"quality": 1 / (info.updates - 8)}


@pytest.mark.parametrize(
    ("evaluation", "error", "message"),
    [
        (fails_late, OwnCodeError, "the evaluation failed: ZeroDivisionError"),
        (lambda model, info: 0.5, UsageError, r"must return metrics, \{name: number\}; it returned float 0.5"),
        (lambda model, info: {"a": "b"}, UsageError, "has 'a' = str 'b', which is not one number"),
        (lambda model, info: {"a": torch.ones(2)}, UsageError, "has 'a' = Tensor .*, which is not one number"),
        (lambda model, info: {"a": 1.0, "updates": 3}, UsageError, "has 'updates', which the run records itself"),
        (lambda model, info: {"exit_reason": 3}, UsageError, "has 'exit_reason', which the run records itself"),
    ],
)
def test_an_evaluation_that_fails_ends_the_run_with_a_checkpoint(evaluation, error, message):
    with pytest.raises(error, match=message) as caught:
        launch(up, one, updates=12, eval_updates=4, evaluate=evaluation)
    (run,) = Path("runs").iterdir()
    assert store.load(run / "ckpt").step == caught.value.summary["updates"] > 0


def test_a_callback_stops_the_loops():
    class Stop(hogwild.Callback):
        copies_every = 3

        def on_copy(self, run):
            run.stop("enough")

    result = launch(endless, callbacks=[Stop()], workers=2)
    assert result.summary["exit_reason"] == "stopped"
    assert result.summary["updates"] >= 3


@pytest.mark.parametrize("workers", [1, 2])
def test_loops_that_return_early_are_told(workers, capsys):
    launch(count, one, args=(5,), updates=20, workers=workers)
    told = capsys.readouterr().err
    assert told.count(f"the loops returned after {5 * workers} of 20 updates: let them go on until") == 1
    launch(up, one, updates=20, workers=workers)
    assert "the loops returned" not in capsys.readouterr().err


def test_names_that_a_run_records_are_no_metrics():
    launched = launch(up, one, updates=2, evaluate=lambda model, info: {"quality": 1.0})
    assert launched.summary.keys() - {"quality"} <= SUMMARY
    assert {name for name in simulate().summary if not name.startswith("test_")} <= SUMMARY
    with pytest.raises(UsageError, match="metric is 'wall_s', which the run records itself"):
        launch(up, one, updates=2, metric="wall_s", evaluate=lambda model, info: {"wall_s": 1.0})


def count(worker: hogwild.Worker, steps: int) -> int:
    for _ in range(steps):
        worker.step(-worker.model(torch.ones(1, 1)).sum(), samples=3)
    return worker.version


def test_a_run_of_loops_goes_on():
    first = launch(count, one, args=(5,))
    second = launch(count, one, args=(4,), resume=first.path)
    assert (second.path, second.returns, second.summary["samples"]) == (first.path, [9], 27)
    assert second.model.weight.item() == pytest.approx(0.9)
    with pytest.raises(UsageError, match=r"is a run of hogwild\.launch, which can go on with it"):
        hogwild.fit(one, (samples(), None), resume=first.path)


# ---- metrics and prints -------------------------------------------------------------------------------------


def tells(worker: hogwild.Worker) -> None:
    for k in range(4):
        print("step", k, "of", worker.rank)
        worker.step(loss_of(worker), metrics={"reward": worker.rank + k, "length": 7})
    os.write(1, b"no end of line")


def tells_the_rate(worker: hogwild.Worker) -> None:
    worker.step(loss_of(worker), metrics={"lr": worker.lr})


def tells_a_vector(worker: hogwild.Worker) -> None:
    worker.step(loss_of(worker), metrics={"advantages": torch.ones(3)})


def counts_backwards(worker: hogwild.Worker) -> None:
    worker.step(loss_of(worker), samples=-5)


def goes_uphill(worker: hogwild.Worker) -> None:
    worker.step(loss_of(worker), lr=-0.1)


@pytest.mark.parametrize(
    ("loop", "message"),
    [
        (tells_the_rate, "metrics of worker.step has 'lr', which the run records itself"),
        (counts_backwards, "worker.step needs samples, a whole number, and lr >= 0; they are -5 and None"),
        (goes_uphill, "worker.step needs samples, a whole number, and lr >= 0; they are 1 and -0.1"),
        (tells_a_vector, "metrics of worker.step has 'advantages' = Tensor .*, which is not one number"),
    ],
)
def test_metrics_of_loops_that_cannot_be_recorded_are_told(loop, message):
    with pytest.raises(UsageError, match=message):
        launch(loop)


def test_metrics_of_loops_are_averaged_and_recorded():
    result = launch(tells, workers=2)
    assert result.summary["metrics"] == {"reward": pytest.approx(2.0), "length": 7.0}
    assert any(line.get("length") == 7.0 for line in lines(result, "train"))


def test_prints_are_shown_with_the_rank_and_kept(capfd):
    result = launch(tells, workers=2, quiet=None)
    printed = capfd.readouterr().out.splitlines()
    for rank in range(2):
        own = [line for line in printed if line.startswith(f"[{rank}] ")]
        assert own == [*(f"[{rank}] step {k} of {rank}" for k in range(4)), f"[{rank}] no end of line"]
        assert "step 3" in (Path(result.path) / "workers" / f"{rank}.log").read_text()
    launch(tells, workers=2, quiet=True)
    assert capfd.readouterr().out == ""
