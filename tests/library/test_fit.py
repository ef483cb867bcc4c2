"""hogwild.fit before its first update and after its last: what fits, what is refused, and what it leaves as it was."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

import hogwild
from hogwild.drivers.checkpoints import store as checkpoint
from hogwild.errors import UsageError
from hogwild.tasks import Data, TensorSplit


@pytest.fixture(autouse=True)
def _in_a_directory_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)


def samples(count: int = 99) -> tuple[Tensor, Tensor]:
    inputs = torch.randn(count, 6, generator=torch.Generator().manual_seed(count))
    return inputs, (inputs.sum(1) > 0).long()


def two() -> nn.Module:
    return nn.Linear(6, 2)


def one() -> nn.Module:
    return nn.Linear(6, 1)


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 2), nn.Linear(6, 6)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.first(x), self.second(x)


def simulate(model=two, dataset=None, loss=None, **options) -> hogwild.Result:
    """A short run in this process."""
    values = {"clock": "round-robin", "epochs": 2, "batch_size": 11, "lr": 0.1, "device": "cpu", **options}
    return hogwild.fit(model, dataset or (samples(), samples(50)), loss, **values)


def no_run() -> bool:
    return not Path("runs").exists() or not list(Path("runs").iterdir())


# ---- metrics ------------------------------------------------------------------------------------------------


def test_accuracy_of_one_logit_is_by_its_sign(capsys):
    x, y = samples()
    for targets in (y, y.float(), y.float()[:, None]):
        result = simulate(
            one, ((x, targets), (x, targets)),
            lambda o, t: F.binary_cross_entropy_with_logits(o.flatten(), t.flatten().float()), epochs=9,
        )  # fmt: skip
        right = ((result.model(x)[:, 0] > 0).long() == y).float().mean().item()
        assert result.summary["test_accuracy"] == pytest.approx(right)
        assert "test_mean_squared_error" not in result.summary
    assert capsys.readouterr().err.count("accuracy by the sign of the one output") == 3


def test_labels_in_a_column_give_an_accuracy():
    x, y = samples()
    result = simulate(two, ((x, y[:, None]), (x, y[:, None])))
    assert result.summary["test_accuracy"] == (result.model(x).argmax(1) == y).float().mean().item()


def test_a_loss_without_a_metric_is_reported_alone_and_names_the_best(capsys):
    result = simulate(Pair, loss=lambda o, t: F.cross_entropy(o[0], t) + o[1].square().mean())
    assert [name for name in result.summary if name.startswith("test_")] == ["test_loss"]
    assert capsys.readouterr().err.count("only the loss is reported") == 1


@pytest.mark.parametrize(
    ("model", "dataset", "options", "message"),
    [
        (two, lambda x, y: (x, y + 1), {}, "the labels go from 1 to 2, and the model has 2 outputs"),
        (one, lambda x, y: (x, y), {}, "one output per sample cannot tell classes apart"),
        (Pair, lambda x, y: (x, y), {}, "the output is a tuple"),
        (lambda: nn.Linear(7, 2), lambda x, y: (x, y), {}, r"the model fails on a batch of inputs float32 \[11, 6\]"),
        (one, lambda x, y: (x, x[:, 0]), {"loss_fn": F.mse_loss}, "compares every output with every target"),
        (one, lambda x, y: (x, x[:, 0]), {"loss_fn": lambda o, t: ((o - t) ** 2).mean()}, "compares every output with"),
        (two, lambda x, y: (x, y), {"loss_fn": nn.CrossEntropyLoss}, "returned a CrossEntropyLoss .*give an instance"),
        (
            two,
            lambda x, y: (x, y),
            {"loss_fn": nn.CrossEntropyLoss(reduction="none")},
            r"returned float32 \[11\] .*mean",
        ),
        (two, lambda x, y: (x, y), {"loss_fn": lambda o, t: F.cross_entropy(o.detach(), t)}, "does not depend on"),
        (
            two,
            lambda x, y: (x, y),
            {"score_fn": lambda o, t: 0.5},
            r"the score returned a float; it must be \(sum, count\)",
        ),
        (
            two,
            lambda x, y: (x, y),
            {"score_fn": lambda o, t: o.nothing},
            r"the score fails .*AttributeError.*test_fit.py:",
        ),
        (two, lambda x, y: (x, y), {"metric": "f1"}, "metric is about the metric that score_fn computes"),
        (two, lambda x, y: (x, y), {"score_fn": lambda o, t: (0.0, 1), "metric": "loss"}, "would hide the loss"),
    ],
)
def test_what_does_not_fit_is_refused_before_the_run(model, dataset, options, message):
    pair = dataset(*samples())
    with pytest.raises(UsageError, match=message) as caught:
        simulate(model, (pair, pair), **options)
    assert "\n" not in str(caught.value)
    assert no_run()


def test_a_label_that_is_in_no_trial_batch_is_found():
    x, y = samples(999)
    y[123] = 2
    with pytest.raises(UsageError, match="the labels go from 0 to 2"):
        simulate(two, ((x, y), samples()))


def distance(output: Tensor, target: Tensor) -> tuple[float, int]:
    return float((output.argmax(1) != target).sum()), len(target)


def scores(result: hogwild.Result) -> tuple[float, list[float]]:
    folder = Path(result.path) / "ckpt"
    return checkpoint.meta(folder, "best")["score"], [
        checkpoint.meta(folder, n)["score"] for n in checkpoint.names(folder)
    ]


@pytest.mark.parametrize(
    ("options", "pick"),
    [
        ({"metric": "error"}, min), ({}, min), ({"metric": "quality"}, max),
        ({"metric": "quality", "maximize": False}, min), ({"metric": "error", "maximize": True}, max),
    ],
)  # fmt: skip
def test_best_follows_the_direction_of_an_own_metric(options, pick, capsys):
    own = {"workers": 1, "epochs": 6, "batch_size": 11, "lr": 0.05, "keep": 99, "score_fn": distance, **options}
    best, all_of_them = scores(hogwild.fit(two, (samples(), samples(50)), **own))
    assert len(set(all_of_them)) > 1
    assert best == pick(all_of_them)
    assert ("the larger, the better" in capsys.readouterr().err) == (options == {"metric": "quality"})


def test_best_follows_the_direction_of_the_metric_of_own_data():
    train, test = samples(), samples(50)
    own = Data("mine", TensorSplit(*train), TensorSplit(*test), (6,), 2, "vector", metric="rmse", score=distance)
    best, all_of_them = scores(hogwild.fit(two, own, workers=1, epochs=6, batch_size=11, lr=0.05, keep=99))
    assert len(set(all_of_them)) > 1
    assert best == min(all_of_them)


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


class Stream(IterableDataset[tuple[Tensor, int]]):
    def __iter__(self):
        yield from zip(*samples(), strict=True)


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (Stream(), "train is a Stream, an IterableDataset, .* give a map-style data set"),
        (DataLoader(TensorDataset(*samples())), r"train is a DataLoader, .* give its \.dataset"),
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
        (two(), "model_fn is a model, Linear, and must be a function .*copy.deepcopy, model"),
        (nn.Linear, r"model_fn is called without arguments \(missing a required argument: 'in_features'\)"),
        ("two", "model_fn must be a function that makes the model; it is str 'two'"),
        (lambda: samples, "model_fn must return a torch.nn.Module; it returned function"),
    ],
)
def test_other_models_are_refused_with_what_to_give(model, message):
    with pytest.raises(UsageError, match=message):
        simulate(model)
    with pytest.raises(UsageError, match=message):
        hogwild.launch(idle, model)


# ---- around the run -----------------------------------------------------------------------------------------


def idle(worker: hogwild.Worker) -> None:
    """An own loop that steps an optimizer of its own."""
    optimizer = torch.optim.SGD(worker.model.parameters(), lr=0.1)
    worker.model(torch.ones(3, 6)).sum().backward()
    optimizer.step()


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


def test_the_commands_say_who_has_the_model_of_a_run_of_fit(capsys):
    from hogwild.cli.evaluate import main as evaluate
    from hogwild.cli.export import main as export
    from hogwild.cli.train import main as train

    result = hogwild.fit(two, (samples(), samples()), workers=1, epochs=1, batch_size=11, lr=0.1)
    for command in (evaluate, lambda a: export([*a, "m.pt"]), lambda a: train(["--resume", *a, "--epochs", "3"])):
        assert command([result.path]) == UsageError.exit_code
        message = capsys.readouterr().err.splitlines()[-1]
        assert "this run was made by hogwild.fit" in message
        assert "torch.load('RUN/ckpt/last/state.pt')['parameters']" in message
    weights = torch.load(Path(result.path) / "ckpt" / "last" / "state.pt")["parameters"]
    assert all(torch.equal(weights[name], value) for name, value in result.model.state_dict().items())
    assert json.loads((Path(result.path) / "summary.json").read_text())["exit_reason"] == "done"
