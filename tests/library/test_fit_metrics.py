"""What hogwild.fit measures, what it refuses before its first update, and which way `best` goes."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from small_fits import no_run, one, samples, simulate, two
from torch import Tensor, nn

from hogwild.config import Config
from hogwild.drivers.checkpoints import store as checkpoint
from hogwild.drivers.checkpoints.manager import Checkpoints
from hogwild.drivers.job.job import make_job
from hogwild.drivers.simulated.simulator import Simulator
from hogwild.errors import UsageError
from hogwild.runs.console import Console
from hogwild.runs.directory import RunDirectory
from hogwild.tasks import Data, TensorSplit


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 2), nn.Linear(6, 6)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.first(x), self.second(x)


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
    right = (result.model(x).argmax(1) == y).float().mean().item()
    assert result.summary["test_accuracy"] == pytest.approx(right)


def test_a_loss_without_a_metric_is_reported_alone_and_names_the_best(capsys):
    result = simulate(Pair, loss_fn=lambda o, t: F.cross_entropy(o[0], t) + o[1].square().mean())
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
        (
            two,
            lambda x, y: (x, y),
            {"loss_fn": nn.CrossEntropyLoss},
            "the loss is the class CrossEntropyLoss: give an inst",
        ),
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
            r"the score fails .*AttributeError.*test_fit_metrics.py:",
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


def squared_error(output: Tensor, target: Tensor) -> tuple[float, int]:
    return float((output[:, 0] - target).square().sum()), len(target)


def error_count(output: Tensor, target: Tensor) -> tuple[float, int]:
    return float((output.argmax(1) != target).sum()), len(target)


@pytest.mark.parametrize(
    ("options", "larger"),
    [
        ({"metric": "error"}, False), ({}, False), ({"metric": "quality"}, True),
        ({"metric": "error", "maximize": True}, True),
        ({"metric": "quality", "maximize": False}, False),
    ],
)  # fmt: skip
def test_an_own_metric_has_the_direction_of_its_name_or_the_one_asked_for(options, larger, capsys, monkeypatch):
    seen = []
    monkeypatch.setattr(Checkpoints, "save", lambda self, *_: seen.append(self.job.data.larger_is_better))
    targets = torch.randn(
        99, generator=torch.Generator().manual_seed(1)
    )  # squared errors are better smaller, by default
    for dataset in (None, ((samples()[0], targets), None)):
        score = error_count if dataset is None else squared_error
        simulate(two if dataset is None else one, dataset, score_fn=score, **options)
    assert seen == [larger, larger]
    assert ("the larger, the better" in capsys.readouterr().err) == (options == {"metric": "quality"})


@pytest.mark.parametrize(
    ("own", "values", "best"),
    [
        ({}, [0.4, 0.9, 0.2, math.nan], 0.9), ({"metric": "rmse"}, [0.4, 0.9, 0.2, 0.3], 0.2),
        ({"metric": "rmse", "maximize": True}, [0.4, 0.9, 0.2], 0.9), ({"score": None}, [math.nan, 0.4, 0.2, 0.3], 0.2),
    ],
)  # fmt: skip
def test_best_is_the_best_in_the_direction_of_the_metric(own, values, best, tmp_path):
    split = TensorSplit(*samples())
    config = Config(batch_size=11, clock="round-robin", epochs=1, out=str(tmp_path), keep=9)
    run = RunDirectory.create(config)
    data = Data("mine", split, split, (6,), 2, "vector", **{"score": error_count, **own})
    driver = Simulator(make_job(config, data, lambda _: two()), run, Console(quiet=True))
    for number, value in enumerate(values):
        driver.checkpoints.save(replace(driver.copy(), version=number + 1), value)
    assert checkpoint.meta(run.ckpt, "best")["score"] == best
    run.close()
