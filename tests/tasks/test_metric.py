"""The metric that goes with outputs, targets and a loss, and the direction in which it is better."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hogwild.errors import UsageError
from hogwild.tasks.data import Data, NoSamples
from hogwild.tasks.direction import larger_is_better
from hogwild.tasks.metric import fitted
from hogwild.tasks.objectives import (
    count_correct,
    count_correct_channels,
    count_correct_signs,
    cross_entropy,
    mean_squared_error,
    sum_bits,
    sum_squared_error,
)

N = 33
_generator = torch.Generator().manual_seed(0)
FIVE = torch.randn(N, 5, generator=_generator)
ONE = torch.randn(N, 1, generator=_generator)
LABELS = torch.randint(0, 5, (N,), generator=_generator)
BINARY = torch.randint(0, 2, (N,), generator=_generator)
REAL = torch.randn(N, generator=_generator) * 3 + 1
SQUARE, SQUARE_LABELS = torch.randn(N, 7, 7, generator=_generator), torch.randint(0, 7, (N, 7), generator=_generator)


def data(loss, target) -> Data:
    made = Data("points", NoSamples(), NoSamples(), (), 0, "vector", loss=loss)
    if target.is_floating_point():
        made.metric, made.maximize, made.score = "mean_squared_error", False, sum_squared_error
    return made


def column(loss):
    """The loss of a column of outputs with a row of targets."""
    return lambda output, target: loss(output.squeeze(-1), target.float())


@pytest.mark.parametrize(
    ("loss", "output", "target", "score", "larger"),
    [
        (cross_entropy, FIVE, LABELS, count_correct, True),
        (cross_entropy, FIVE, LABELS[:, None], count_correct, True),
        (cross_entropy, SQUARE, SQUARE_LABELS, count_correct, True),
        (mean_squared_error, ONE, REAL, sum_squared_error, False),
        (F.cross_entropy, FIVE, LABELS.where(LABELS != 2, -100), count_correct, True),
        (nn.CrossEntropyLoss(label_smoothing=0.1), FIVE, LABELS, count_correct, True),
        (F.nll_loss, FIVE.log_softmax(-1), LABELS, count_correct, True),
        (F.multi_margin_loss, FIVE, LABELS, count_correct, True),
        (lambda o, t: F.mse_loss(o, F.one_hot(t, 5).float()), FIVE, LABELS, count_correct, True),
        (F.cross_entropy, torch.randn(N, 5, 7), SQUARE_LABELS % 5, count_correct_channels, True),
        (F.cross_entropy, SQUARE, SQUARE_LABELS, count_correct_channels, True),
        (lambda o, t: F.cross_entropy(o.flatten(0, 1), t.flatten()), SQUARE, SQUARE_LABELS, count_correct, True),
        (column(F.binary_cross_entropy_with_logits), ONE, BINARY, count_correct_signs, True),
        (F.binary_cross_entropy_with_logits, ONE, BINARY.float()[:, None], count_correct_signs, True),
        (column(F.binary_cross_entropy_with_logits), ONE[:, 0], BINARY, count_correct_signs, True),
        (column(lambda o, t: (1 - o * (2 * t - 1)).relu().mean()), ONE, BINARY, count_correct_signs, True),
        (column(F.mse_loss), ONE, BINARY, sum_squared_error, False),
        (column(F.l1_loss), ONE, REAL, sum_squared_error, False),
        (column(F.mse_loss), ONE, LABELS, sum_squared_error, False),
        (column(F.binary_cross_entropy), ONE.sigmoid(), BINARY, None, False),  # probabilities: the sign says nothing
        (F.poisson_nll_loss, ONE, LABELS.float()[:, None], None, False),
        (F.binary_cross_entropy_with_logits, FIVE, (FIVE > 0).float(), None, False),
        (F.cross_entropy, FIVE, FIVE.softmax(-1), None, False),
        (lambda o, t: F.cross_entropy(o[0], t), (FIVE, ONE), LABELS, None, False),
        (lambda o, t: F.cross_entropy(o["logits"], t), {"logits": FIVE}, LABELS, None, False),
        (lambda o, t: F.cross_entropy(o, t, ignore_index=255), FIVE, LABELS.where(LABELS != 2, 255), None, False),
    ],
)  # fmt: skip
def test_a_metric_goes_with_a_loss_that_prefers_the_same_outputs(loss, output, target, score, larger):
    before = data(loss, target)
    found, line = fitted(before, output, target)
    assert (found.score, found.larger_is_better) == (score, larger)
    assert (line is None) == (found.score is before.score)
    if score is None:
        assert found.metric == "loss"
        assert "only the loss is reported" in str(line)


@pytest.mark.parametrize(
    ("loss", "output", "target", "message"),
    [
        (cross_entropy, FIVE, LABELS + 3, "the labels go from 3 to 7, and the model has 5 outputs: .* 0 to 4, or -100"),
        (cross_entropy, FIVE, LABELS - 1, "the labels go from -1 to 3"),
        (cross_entropy, ONE, BINARY, r"one output per sample cannot tell classes apart \(outputs float32 \[33, 1\]"),
        (cross_entropy, ONE[:, 0], BINARY, "one output per sample cannot tell classes apart"),
        (cross_entropy, torch.randn(N, 5, 7), SQUARE_LABELS % 5, r"they are dimension 1: .*movedim\(1, -1\)"),
        (cross_entropy, FIVE, F.one_hot(LABELS), r"outputs must be \[samples, ..., classes\]"),
        (cross_entropy, (FIVE, ONE), LABELS, "the output is a tuple, the target int64"),
        (mean_squared_error, FIVE, REAL, "outputs and targets must have one shape"),
        (mean_squared_error, {"y": ONE}, REAL, "the output is a dict"),
    ],
)
def test_what_does_not_fit_the_own_losses_is_refused(loss, output, target, message):
    with pytest.raises(UsageError, match=message):
        fitted(data(loss, target), output, target)


def test_a_score_of_the_callers_own_is_left_alone():
    mine = Data("points", NoSamples(), NoSamples(), (), 0, "vector", loss=F.mse_loss, score=sum_bits, metric="bits")
    assert fitted(mine, (FIVE, FIVE), LABELS) == (mine, None)


def test_ignored_labels_and_columns_of_labels_are_counted_right():
    output = F.one_hot(LABELS, 5).float() * 9
    kept = LABELS.where(LABELS != 2, -100)
    assert count_correct(output, kept) == (int((LABELS != 2).sum()), int((LABELS != 2).sum()))
    assert count_correct(output, LABELS[:, None]) == (N, N)
    assert sum_bits(output, kept)[1] == int((LABELS != 2).sum())
    assert cross_entropy(output, kept).item() == pytest.approx(
        cross_entropy(output[LABELS != 2], LABELS[LABELS != 2]).item()
    )
    assert count_correct_signs(torch.tensor([[2.0], [-1.0], [3.0]]), torch.tensor([1, 0, 0])) == (2, 3)


@pytest.mark.parametrize(
    ("metric", "larger"),
    [
        ("accuracy", True), ("top5_accuracy", True), ("F1", True), ("mean_iou", True), ("r2", True),
        ("log_likelihood", True),
        ("loss", False), ("mse", False), ("val_rmse", False), ("mean_squared_error", False), ("perplexity", False),
        ("top5_error", False), ("bits_per_char", False), ("log_loss", False), ("negative_log_likelihood", False),
        ("neg_mean_squared_error", True), ("sum_of_squares", None), ("quality", None), ("", None),
    ],
)  # fmt: skip
def test_the_direction_of_a_metric_by_its_name(metric, larger):
    assert larger_is_better(metric) is larger


def test_the_direction_of_data():
    def made(**values) -> bool:
        return Data("points", NoSamples(), NoSamples(), (), 0, "vector", **values).larger_is_better

    assert made()
    assert not made(metric="mae")
    assert made(metric="mae", maximize=True)
    assert made(metric="quality")
    assert not made(metric="quality", maximize=False)
    assert not made(score=None)
