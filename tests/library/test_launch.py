"""hogwild.launch: arguments, results, evaluations, ends, schedules, metrics and prints of loops of one's own."""

from __future__ import annotations

import pytest
import torch
from own_loops import endless, launch, lines, loss_of, one, up
from small_fits import no_run
from torch import Tensor, nn

import hogwild
from hogwild.errors import TooFewWorkersError, UsageError


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


class TwoArguments(Exception):
    def __init__(self, first: int, second: int) -> None:
        super().__init__(first + second)


def unreadable(worker: hogwild.Worker) -> object:
    worker.step(loss_of(worker))
    return TwoArguments(1, 2)


def test_a_result_that_cannot_be_read_is_told():
    with pytest.raises(UsageError, match=r"worker 0 returned a value that cannot be read in the parent \(TypeError"):
        launch(unreadable)


# ---- learning rates and gradients ---------------------------------------------------------------------------


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


class Table(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rows, self.head = (
            nn.Embedding.from_pretrained(torch.ones(5, 1), freeze=False, sparse=True),
            nn.Linear(1, 1),
        )


def moves_a_row(worker: hogwild.Worker) -> None:
    (-worker.model.rows(torch.tensor([3])).sum()).backward()
    worker.step()


def test_gradients_of_tables_alone_are_taken():
    result = launch(moves_a_row, Table)
    assert result.model.rows.weight.flatten().tolist() == [1.0, 1.0, 1.0, pytest.approx(1.1), 1.0]


def clips_by_torch(worker: hogwild.Worker) -> None:
    (-worker.model(torch.tensor([0, 2])).sum()).backward()
    nn.utils.clip_grad_norm_(worker.model.parameters(), 1.0)


def test_the_clip_of_torch_is_refused_with_that_of_the_run():
    with pytest.raises(UsageError, match=r"a table is sparse.*clip_grad_norm_ takes none.*give hogwild.launch\(clip="):
        launch(clips_by_torch, only_a_table)


def test_a_step_without_gradients_of_tables_is_told():
    with pytest.raises(UsageError, match="and there are none"):
        launch(no_backward, only_a_table)


def only_a_table() -> nn.Module:
    return nn.Embedding(5, 1, sparse=True)


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


def test_an_optimizer_of_ones_own_is_refused():
    with pytest.raises(UsageError, match=r"SGD.step\(\) of your own would update a private copy .*call worker.step"):
        launch(own_optimizer, one)


@pytest.mark.slow
def test_an_optimizer_of_ones_own_is_counted_where_its_writes_hold():
    result = launch(own_optimizer, one, read="inplace", workers=2, access="locked")
    assert result.summary["updates"] == 10
    assert result.model.weight.item() == pytest.approx(5.0)


@pytest.mark.slow
def test_an_optimizer_of_ones_own_ends_with_the_updates_or_trains_another_model():
    ended = launch(own_optimizer, one, read="inplace", updates=3)
    assert (ended.summary["updates"], ended.model.weight.item()) == (3, pytest.approx(1.5))
    assert launch(another_optimizer, one).summary["updates"] == 1


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


def test_other_arguments_are_refused_with_what_to_give():
    with pytest.raises(UsageError, match="args is a list of the arguments behind the worker; it is int 5"):
        launch(endless, args=5)
    for evaluate in ("x", lambda model: {}):
        with pytest.raises(UsageError, match=r"evaluate is a function \(model, info\) -> .*; it is"):
            launch(endless, evaluate=evaluate)
