"""hogwild.launch: arguments, results, evaluations, ends, schedules, metrics and prints of loops of one's own."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from small_fits import no_run, samples, two
from torch import Tensor, nn

import hogwild
from hogwild.drivers.checkpoints import store
from hogwild.errors import OwnCodeError, TooFewWorkersError, UsageError


def loss_of(worker: hogwild.Worker) -> Tensor:
    x, y = samples(33)
    return nn.functional.cross_entropy(worker.model(x), y)


def launch(fn, model=two, **options) -> hogwild.Result:
    return hogwild.launch(fn, model, **{"workers": 1, "lr": 0.1, **options})


def lines(result: hogwild.Result, kind: str) -> list[dict]:
    events = map(json.loads, (Path(result.path) / "metrics.jsonl").read_text().splitlines())
    return [event for event in events if event["kind"] == kind]


def endless(worker: hogwild.Worker) -> None:
    while True:
        worker.step(loss_of(worker), samples=33)


def polite(worker: hogwild.Worker, base: int, table: dict[str, Tensor]) -> dict[str, object]:
    steps = 0
    while not worker.should_stop:
        worker.step(loss_of(worker), samples=33)
        steps += 1
    return {"steps": steps, "rank": worker.rank + base, "sum": table["values"].sum()}


# ---- arguments, results, the end ----------------------------------------------------------------------------


def test_arguments_and_results_and_the_exact_end():
    result = launch(polite, args=(100, {"values": torch.arange(5.0)}), workers=3, updates=50)
    assert [found["rank"] for found in result.returns] == [100, 101, 102]
    assert sum(found["steps"] for found in result.returns) >= result.summary["updates"] == 50
    assert all(found["sum"] == 10.0 for found in result.returns)
    assert result.summary["samples"] == 50 * 33


@pytest.mark.parametrize("algorithm", ["asgd", "ssgd", "k-sync", "local-sgd"])
def test_a_loop_without_an_end_ends_with_the_run(algorithm):
    result = launch(endless, workers=2, updates=12, algorithm=algorithm, access="locked")
    assert result.summary["updates"] == 12
    assert result.returns == [None, None]


def unsendable(worker: hogwild.Worker) -> object:
    worker.step(loss_of(worker))
    return lambda: worker


def test_a_result_that_cannot_be_sent_is_told():
    with pytest.raises(UsageError, match=r"worker 0 returned function .*, which cannot be sent to the parent"):
        launch(unsendable)


# ---- learning rates and gradients ---------------------------------------------------------------------------


def one() -> nn.Module:
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    return model


def up(worker: hogwild.Worker) -> list[float]:
    """Every gradient is -1, so the weight is the sum of the learning rates."""
    rates = []
    while not worker.should_stop:
        rates.append(worker.lr)
        worker.step(-worker.model(torch.ones(1, 1)).sum())
    return rates


@pytest.mark.parametrize("workers", [1, 2])
def test_a_schedule_runs_towards_the_end(workers):
    result = launch(up, one, updates=20, schedule="cosine", workers=workers)
    total = sum(0.05 * (1 + torch.cos(torch.tensor(torch.pi * k / 20)).item()) for k in range(20))
    if workers == 1:
        assert sum(result.returns[0]) == pytest.approx(total)
        assert result.model.weight.item() == pytest.approx(total, rel=1e-5)
    else:
        assert lines(result, "train")[-1]["lr"] < 0.01


def own_rates(worker: hogwild.Worker) -> None:
    for k in range(6):
        worker.step(-worker.model(torch.ones(1, 1)).sum(), lr=0.5 if k % 2 else None)


def test_a_step_may_have_its_own_rate():
    assert launch(own_rates, one).model.weight.item() == pytest.approx(3 * 0.5 + 3 * 0.1)


def own_backward(worker: hogwild.Worker) -> None:
    for _ in range(4):
        for scale in (1.0, 2.0):  # accumulated
            (-scale * worker.model(torch.ones(1, 1)).sum()).backward()
        nn.utils.clip_grad_norm_(worker.model.parameters(), 2.0)
        worker.step(samples=2)
        assert worker.model.weight.grad is None


def test_an_own_backward_is_accumulated_and_clipped():
    result = launch(own_backward, one)
    assert result.model.weight.item() == pytest.approx(4 * 0.1 * 2.0, rel=1e-5)
    assert (result.summary["samples"], result.summary["faults"]) == (8, 0)


def no_backward(worker: hogwild.Worker) -> None:
    worker.step()


def test_a_step_without_loss_and_gradients_is_told():
    with pytest.raises(UsageError, match=r"takes the gradients of loss.backward\(\), and there are none"):
        launch(no_backward, one)


def waits_for_the_other(worker: hogwild.Worker) -> tuple[float, float]:
    """Worker 1 moves the model; worker 0 sees it only after refresh."""
    if worker.rank == 1:
        worker.step(-worker.model(torch.ones(1, 1)).sum())
        return (0.0, 0.0)
    while worker.version == 0:
        pass
    before = worker.model.weight.item()
    worker.refresh()
    return before, worker.model.weight.item()


def test_refresh_reads_the_model_without_an_update():
    result = launch(waits_for_the_other, one, workers=2)
    assert result.returns[0] == (0.0, pytest.approx(0.1))
    assert result.summary["updates"] == 1


# ---- optimizers of torch ------------------------------------------------------------------------------------


def own_optimizer(worker: hogwild.Worker) -> None:
    optimizer = torch.optim.SGD(worker.model.parameters(), lr=0.5)
    for _ in range(5):
        optimizer.zero_grad()
        (-worker.model(torch.ones(1, 1)).sum()).backward()
        optimizer.step()


def another_optimizer(worker: hogwild.Worker) -> None:
    critic = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(critic.parameters(), lr=0.5)
    critic(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    worker.step(-worker.model(torch.ones(1, 1)).sum())


def test_an_optimizer_of_ones_own_is_refused_or_counted():
    with pytest.raises(UsageError, match=r"SGD.step\(\) of your own would update a private copy .*call worker.step"):
        launch(own_optimizer, one)
    result = launch(own_optimizer, one, read="inplace", workers=2, access="locked")
    assert result.summary["updates"] == 10
    assert result.model.weight.item() == pytest.approx(5.0)
    ended = launch(own_optimizer, one, read="inplace", updates=3)
    assert (ended.summary["updates"], ended.model.weight.item()) == (3, pytest.approx(1.5))
    assert launch(another_optimizer, one).summary["updates"] == 1


# ---- evaluations, checkpoints, callbacks --------------------------------------------------------------------


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
        (lambda model, info: {"a": "b"}, UsageError, "must return numbers by name"),
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


# ---- what is refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clock": "gamma"}, "clock is for hogwild.fit"),
        ({"shard": "iid"}, "shard is for hogwild.fit"),
        ({"batch_size": 7}, "batch_size is for hogwild.fit"),
        ({"epochs": 3}, "epochs is for hogwild.fit"),
        ({"eval_every": 2}, "eval_every is for hogwild.fit"),
        ({"ckpt_every": 0}, "ckpt_every is for hogwild.fit"),
        ({"record": True}, "record is for hogwild.fit"),
        ({"kill_stalled": 3}, "kill_stalled is for hogwild.fit"),
        ({"compile": True}, "compile is for hogwild.fit"),
        ({"schedule": "cosine"}, "no end that a schedule or a warm-up could run towards: give updates=N"),
        ({"warmup": 0.1}, "no end that a schedule or a warm-up could run towards: give updates=N"),
        ({"eval_updates": 3}, "no test set to evaluate on: give evaluate="),
    ],
)
def test_options_that_mean_nothing_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        launch(endless, **options)
    assert no_run()


def fails(worker: hogwild.Worker) -> None:
    raise RuntimeError("own loop failed")


def test_a_loop_that_fails_in_every_worker_ends_the_run():
    with pytest.raises(TooFewWorkersError, match="RuntimeError: own loop failed"):
        launch(fails)
