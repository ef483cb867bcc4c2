"""What hogwild.fit takes, and what it leaves as it was."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from small_fits import no_run, samples, simulate, two
from torch import Tensor, nn
from torch.utils.data import Dataset

import hogwild
from hogwild.errors import UsageError

# ---- what is left as it was ---------------------------------------------------------------------------------


class Noisy(Dataset[tuple[Tensor, int]]):
    """Samples with noise of all three generators."""

    def __len__(self) -> int:
        return 44

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        if not 0 <= i < 44:
            raise IndexError
        return torch.rand(6) + np.random.rand() + random.random(), i % 2


def noisy_model() -> nn.Module:
    np.random.rand()
    random.random()
    return nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5), nn.Linear(8, 2))


def draws() -> tuple[float, float, float]:
    return torch.rand(1).item(), float(np.random.rand()), random.random()


@pytest.mark.parametrize("clock", [None, "gamma"])
def test_the_random_numbers_of_the_caller_go_on(clock):
    def seed() -> None:
        torch.manual_seed(5)
        np.random.seed(5)
        random.seed(5)

    seed()
    wanted = [draws(), draws()]
    seed()
    options = {"clock": clock, "epochs": 1, "batch_size": 11, "lr": 0.1, "workers": 2}
    got, results = [draws()], [hogwild.fit(noisy_model, (Noisy(), Noisy()), **options)]
    got.append(draws())
    assert got == wanted
    if clock is not None:  # the numbers of a run are its own: those of the caller have moved on
        results.append(hogwild.fit(noisy_model, (Noisy(), Noisy()), **options))
        assert results[0].summary["test_loss"] == results[1].summary["test_loss"]


def test_the_trial_leaves_no_trace_in_the_run():
    """The first batch is computed with BatchNorm statistics and counters that have seen nothing."""

    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = nn.Linear(6, 2)
            self.register_buffer("calls", torch.tensor(0))

        def forward(self, x: Tensor) -> Tensor:
            self.calls += self.training
            return self.last(x)

    result = simulate(Counting, workers=1)
    assert int(result.model.calls) == result.summary["updates"] == 18


# ---- inputs -------------------------------------------------------------------------------------------------


class Records(Dataset[tuple[dict[str, object], object]]):
    """Nested samples of NumPy values."""

    def __init__(self, count: int) -> None:
        self.inputs, self.targets = (part.numpy() for part in samples(count))

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, i: int) -> tuple[dict[str, object], object]:
        return {"x": (self.inputs[i].astype(np.float64),), "weight": np.float64(1.0)}, self.targets[i]


class OfRecords(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(6, 2)

    def forward(self, record) -> Tensor:
        return self.last(record["x"][0]) * record["weight"][:, None]


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize("labels", [np.int64, np.int8, np.uint16, bool])
def test_arrays_are_taken_and_cast_to_the_type_of_the_model(kind, labels):
    x, y = samples()
    pair = x.numpy().astype(kind)[:, ::-1], y.numpy().astype(labels)
    assert simulate(two, (pair, pair), epochs=9).summary["test_accuracy"] > 0.7


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nested_batches_of_numpy_values(dtype):
    assert simulate(OfRecords, (Records(99), Records(50)), dtype=dtype, epochs=9).summary["test_accuracy"] > 0.7


def test_numpy_numbers_and_paths_are_options(tmp_path):
    result = simulate(
        lr=np.float32(0.1), batch_size=np.int64(11), epochs=torch.tensor(1.0), workers=np.uint8(3),
        out=tmp_path / "here",
    )  # fmt: skip
    assert (result.summary["workers"], result.summary["updates"]) == (3, 9)
    assert Path(result.path).parent == tmp_path / "here"


def test_no_test_set(capsys):
    for clock in (None, "round-robin"):
        result = hogwild.fit(two, (samples(), None), workers=1, epochs=2, batch_size=11, lr=0.1, clock=clock)
        assert result.summary["updates"] == 18
        assert not [name for name in result.summary if name.startswith("test_")]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ((np.array(["a", "b"]), np.array([0, 1])), "train: inputs is an array of <U1"),
        (({"x": samples()[0]}, samples()[1]), "train is a tuple of dict, Tensor"),
        ((torch.tensor(3.0), samples()[1]), r"train: inputs has shape \[\]"),
    ],
)
def test_other_data_are_refused_with_what_to_give(train, message):
    with pytest.raises(UsageError, match=message):
        simulate(two, (train, samples()))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Linear, r"model_fn is called without arguments \(missing a required argument: 'in_features'\)"),
        ("two", r"the model must be a torch.nn.Module or a function that makes it; it is str 'two'"),
        (lambda: samples, "model_fn must return a torch.nn.Module; it returned function"),
    ],
)
def test_other_models_are_refused_with_what_to_give(model, message):
    with pytest.raises(UsageError, match=message):
        simulate(model)
    with pytest.raises(UsageError, match=message):
        hogwild.launch(idle, model)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": {"weight": {"lr": 0.5}}}, r"groups is a function \(name, parameter\) -> .*; it is dict"),
        ({"options": ["momentum"]}, r"options of the algorithm are \{name: value\}; they are list"),
        ({"init_from": two()}, "init_from is a state_dict, a run or a file; it is Linear"),
        ({"maximize": "min", "metrics": {"own": lambda output, target: 0.5}}, "maximize is True, False or None; it is"),
        (
            {"score_fn": lambda output, target: (1.0, 2), "metric": "own", "metrics": {"own": lambda o, t: 0.5}},
            "score_fn and one of metrics are both called own",
        ),
        ({"validation": samples(30), "dataset": (samples(), (torch.ones(5, 3), torch.ones(5).long()))},
         r"the model fails, in evaluation, on inputs float32 \[5, 3\]"),
    ],
)  # fmt: skip
def test_other_options_are_refused_with_what_to_give(options, message):
    with pytest.raises(UsageError, match=message):
        simulate(**options)


def test_predictions_need_a_batch_size():
    result = simulate()
    for size in (0, -3):
        with pytest.raises(UsageError, match="predict needs batch_size >= 1"):
            result.predict(samples()[0], size)


@pytest.mark.parametrize("size", [0, -5, 2.5, "20"])
def test_another_size_of_evaluations_is_refused(size):
    with pytest.raises(UsageError, match="eval_batch_size must be a number of samples >= 1; it is"):
        simulate(eval_batch_size=size)


# ---- around the run -----------------------------------------------------------------------------------------


def idle(worker: hogwild.Worker) -> None:
    """An own loop that computes a gradient and forgets the update."""
    worker.model(torch.ones(3, 6)).sum().backward()


def test_a_loop_without_worker_step_is_told(capsys):
    state = torch.get_rng_state()
    assert hogwild.launch(idle, two, workers=1).summary["updates"] == 0
    assert (
        "0 updates: call worker.step(loss) instead of loss.backward() and optimizer.step()" in capsys.readouterr().err
    )
    assert torch.equal(torch.get_rng_state(), state)


def test_a_daemonic_process_is_told_what_to_use(monkeypatch):
    import multiprocessing

    monkeypatch.setitem(multiprocessing.current_process()._config, "daemon", True)
    with pytest.raises(UsageError, match=r"daemonic process, .*use concurrent\.futures\.ProcessPoolExecutor"):
        hogwild.fit(two, (samples(), samples()), workers=1, epochs=1, batch_size=11, lr=0.1)
    assert no_run()
    assert simulate().summary["updates"] == 18
