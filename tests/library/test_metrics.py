"""hogwild.metrics, the metrics of hogwild.fit, and what a Result says."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from small_fits import no_run, one, samples, simulate, two
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import hogwild
from hogwild import metrics
from hogwild.errors import UsageError


def value(metric: object, outputs: Tensor, targets: Tensor, cut: int = 4) -> float:
    """Computed in two batches."""
    found = metrics.meter("it", metric)
    found.reset()
    found.update(outputs[:cut], targets[:cut])
    found.update(outputs[cut:], targets[cut:])
    return float(found.compute())


def made(classes: int = 5, count: int = 23) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(classes)
    targets = torch.randint(classes, (count,), generator=generator)
    return torch.randn(count, classes, generator=generator) + F.one_hot(targets, classes), targets


def test_metrics_are_those_of_their_definitions():
    outputs, targets = made()
    order = outputs.argsort(-1, descending=True)
    for k in (1, 2, 4):
        assert value(metrics.top_k(k), outputs, targets) == pytest.approx(
            sum(int(targets[i]) in order[i, :k].tolist() for i in range(23)) / 23
        )
    assert value(metrics.top_k(9), outputs, targets) == 1
    assert value(metrics.perplexity, outputs, targets) == pytest.approx(float(F.cross_entropy(outputs, targets).exp()))
    x, y = torch.randn(23, 1), torch.randn(23)
    assert value(metrics.rmse, x, y) == pytest.approx(float((x[:, 0] - y).square().mean().sqrt()), rel=1e-5)
    assert value(metrics.mae, x, y) == pytest.approx(float((x[:, 0] - y).abs().mean()), rel=1e-5)


def test_positions_that_do_not_count_are_left_out():
    outputs, targets = made()
    masked = targets.clone()
    masked[[1, 7, 20]] = metrics.IGNORED
    keep = masked != metrics.IGNORED
    for metric in (metrics.accuracy, metrics.perplexity, metrics.f1):
        assert value(metric, outputs, masked) == pytest.approx(value(metric, outputs[keep], targets[keep]))


def test_the_area_under_the_curve_counts_pairs_and_half_of_ties():
    scores, targets = torch.tensor([0.1, 0.4, 0.4, 0.8, 0.9, 0.4]), torch.tensor([0, 0, 1, 1, 0, 1])
    pairs = [(p > n) + 0.5 * (p == n) for p in scores[targets == 1] for n in scores[targets == 0]]
    wanted = float(sum(pairs) / len(pairs))
    assert value(metrics.auc, scores, targets) == pytest.approx(wanted)
    assert value(metrics.auc, scores[:, None], targets[:, None]) == pytest.approx(wanted)
    assert value(metrics.auc, torch.stack([-scores, scores], 1), targets) == pytest.approx(wanted)
    assert math.isnan(value(metrics.auc, scores, torch.ones(6)))


def test_f1_is_the_mean_of_the_classes_that_occur():
    outputs, targets = made(4)
    found = outputs.argmax(1)
    scores = []
    for label in range(4):
        tp = int(((found == label) & (targets == label)).sum())
        scores.append(2 * tp / int((found == label).sum() + (targets == label).sum()))
    assert value(metrics.f1, outputs, targets) == pytest.approx(sum(scores) / 4)
    unseen = torch.cat([outputs, torch.full((23, 1), -9.0)], 1)
    assert value(metrics.f1, unseen, targets) == pytest.approx(sum(scores) / 4)


def mean_error(output: Tensor, target: Tensor) -> Tensor:
    return (output.argmax(1) != target).float().mean()


def count_error(output: Tensor, target: Tensor) -> tuple[float, int]:
    return float((output.argmax(1) != target).sum()), len(target)


def test_a_function_is_a_mean_over_samples_or_a_ratio():
    outputs, targets = made()
    wanted = float(mean_error(outputs, targets))
    assert value(mean_error, outputs, targets, cut=20) == pytest.approx(wanted)  # 20 and 3 samples
    assert value(count_error, outputs, targets, cut=20) == pytest.approx(wanted)
    assert value(metrics.whole(mean_error), outputs, targets) == pytest.approx(wanted)


class Counts:
    """An object in the form of torchmetrics."""

    higher_is_better = False

    def __init__(self) -> None:
        self.moved = None

    def to(self, device: torch.device) -> Counts:
        self.moved = device
        return self

    def reset(self) -> None:
        self.wrong, self.all = 0, 0

    def update(self, preds: Tensor, target: Tensor) -> None:
        self.wrong += int((preds.argmax(1) != target).sum())
        self.all += len(target)

    def compute(self) -> Tensor:
        return torch.tensor(self.wrong / self.all)


class Several(Counts):
    def compute(self) -> dict[str, Tensor]:
        return {"wrong": torch.tensor(self.wrong), "all": torch.tensor(self.all)}


def test_all_metrics_are_in_the_summary_and_the_history():
    counts = Counts()
    result = simulate(metrics={
        "top1": metrics.accuracy, "wrongly": counts, "error": mean_error, "n": Several(), "ppl": metrics.perplexity,
        "auc": metrics.auc,
    }, eval_batch_size=7)  # fmt: skip
    x, y = samples(50)
    outputs = result.model(x).detach()
    error = float(mean_error(outputs, y))
    wanted = {"top1": 1 - error, "wrongly": error, "error": error, "n_wrong": 50 * error, "n_all": 50,
              "ppl": float(F.cross_entropy(outputs, y).exp()), "auc": value(metrics.auc, outputs, y)}  # fmt: skip
    for name, number in wanted.items():
        assert result.summary[f"test_{name}"] == pytest.approx(number, rel=1e-5)
        assert result.history[-1][f"test_{name}"] == pytest.approx(number, rel=1e-5)
    assert counts.moved == torch.device("cpu")


@pytest.mark.parametrize(
    ("options", "name", "larger"),
    [
        ({"metrics": {"top1": metrics.accuracy}}, "top1", True),
        ({"metrics": {"quality": Counts(), "top1": metrics.accuracy}}, "quality", False),
        ({"metrics": {"quality": Counts(), "top1": metrics.accuracy}, "monitor": "top1"}, "top1", True),
        ({"metrics": {"top1": metrics.accuracy}, "monitor": "loss"}, "loss", False),
        ({"metrics": {"fair_error": mean_error}}, "fair_error", False),
        ({"metrics": {"fair_error": mean_error}, "maximize": True}, "fair_error", True),
        ({"monitor": "loss"}, "loss", False),
        ({"score_fn": count_error, "metrics": {"top1": metrics.accuracy}}, "count_error", False),
    ],
)
def test_the_best_is_by_the_monitored_metric(options, name, larger, capsys):
    result = simulate(epochs=4, lr=3.0, **options)  # an lr at which the metric goes up and down
    values = [row[f"test_{name}"] for row in result.history]
    assert len(set(values)) > 1
    assert result.best[f"test_{name}"] == (max if larger else min)(values)
    assert "the larger, the better" not in capsys.readouterr().err


def test_the_best_checkpoint_is_the_best_row(monkeypatch):
    from pathlib import Path

    from hogwild.drivers.checkpoints import store

    values = {"workers": 1, "epochs": 4, "batch_size": 11, "lr": 3.0}
    result = hogwild.fit(two, (samples(), samples(50)), metrics={"error": mean_error}, monitor="error", **values)
    assert store.load(Path(result.path) / "ckpt", "best").step == result.best["updates"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metrics": {"top1": 3}}, "metric top1 is int 3; it must be a function"),
        ({"metrics": {"top1": Counts}}, "metric top1 is the class Counts: give an instance of it"),
        ({"metrics": metrics.accuracy}, "metrics must map names to metrics"),
        ({"metrics": {"top1": metrics.accuracy}, "monitor": "top5"}, "no metric top5 to monitor: there are loss, top1"),
        ({"metrics": {"loss": mean_error}}, "a metric of the name loss would hide the loss"),
        ({"metrics": {"bad": lambda o, t: "much"}}, "metric bad fails: it returned str 'much'; it must be the mean"),
        ({"metrics": {"bad": lambda o, t: o.nothing}}, r"metric bad fails: AttributeError.*test_metrics.py:"),
        ({"metrics": {"bad": metrics.whole(lambda o, t: o)}}, "metric bad fails: "),
    ],
)
def test_metrics_that_cannot_be_are_refused_before_the_run(options, message):
    with pytest.raises(UsageError, match=message) as caught:
        simulate(**options)
    assert "\n" not in str(caught.value)
    assert no_run()


def test_metrics_stay_in_the_parent_process():
    result = hogwild.fit(
        two, (samples(), samples(50)), workers=2, epochs=1, batch_size=11, lr=0.1, metrics={"e": lambda o, t: 0.5}
    )  # fmt: skip
    assert result.summary["test_e"] == 0.5


# ---- results ------------------------------------------------------------------------------------------------


def test_the_history_has_a_row_for_each_evaluation():
    result = simulate(epochs=3, schedule="linear", lr=0.2)
    assert [row["updates"] for row in result.history] == [9, 18, 27]
    assert [row["samples"] for row in result.history] == [99, 198, 297]
    assert [row["virtual_s"] > 0 for row in result.history] == [True] * 3
    assert [row["lr"] for row in result.history] == sorted((row["lr"] for row in result.history), reverse=True)
    assert set(result.history[0]) == {"epoch", "updates", "samples", "virtual_s", "lr", "test_loss", "test_accuracy"}
    assert (result.summary["lr"], result.summary["batch_size"]) == (0.2, 11)
    real = hogwild.fit(two, (samples(), samples()), workers=1, epochs=1, batch_size=11, lr=0.1)
    assert real.history[0]["wall_s"] > 0


def test_a_result_is_short():
    text = repr(simulate())
    assert text.startswith("Result(test_loss=0.")
    assert "updates=18" in text
    assert len(text) < 200
    assert "\n" not in text


def test_predict_takes_what_fit_takes():
    result = simulate(lambda: nn.Sequential(nn.Dropout(0.5), two()))
    x, y = samples(23)
    wanted = result.model.eval()(x).detach()
    result.model.train()
    data = TensorDataset(x, y)
    for inputs in (x, x.numpy(), x.double(), data, DataLoader(data, 5), TensorDataset(x)):
        assert torch.allclose(result.predict(inputs, batch_size=4), wanted)
    assert result.model.training
    assert not result.predict(x).requires_grad
    assert result.predict(np.zeros((0, 6))).shape[0] == 0


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = one(), two()

    def forward(self, pair: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        return {"a": self.a(pair[0]), "b": self.b(pair[1])}


def test_predict_joins_nested_outputs():
    result = hogwild.Result({}, Two(), "")
    x, _ = samples(23)
    found = result.predict((x, 2 * x), batch_size=9)
    assert found["a"].shape == (23, 1)
    assert torch.allclose(found["b"], result.model.b(2 * x))
