"""Losses and scores for candidates [batch, c] of which the first is the right one, and the root mean squared error."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor

from hogwild.tasks.objectives import sum_squared_error

TOP = 10


def bpr(output: Tensor, target: Tensor) -> Tensor:  # noqa: ARG001
    """Bayesian personalised ranking: mean of -log sigmoid(s_0 - s_j) over the batch and the other candidates j.

    Source: Rendle et al. 2009 (arXiv:1205.2618), equation of BPR-Opt; its regularisation is the run's --table-decay.
    """
    return F.softplus(output[:, 1:] - output[:, :1]).mean()


def negative_sampling(output: Tensor, target: Tensor) -> Tensor:  # noqa: ARG001
    """Mean over the batch of -log sigmoid(s_0) - sum_j log sigmoid(-s_j).

    Source: Mikolov et al. 2013 (arXiv:1310.4546), equation 4, with a minus sign.
    """
    return (F.softplus(-output[:, 0]) + F.softplus(output[:, 1:]).sum(1)).mean()


def sum_auc(output: Tensor, target: Tensor) -> tuple[float, int]:  # noqa: ARG001
    """(number of other candidates that score lower, ties counting half; their number): the ratio is the area under the
    ROC curve against the drawn candidates.
    """
    first, others = output.detach()[:, :1], output.detach()[:, 1:]
    return float((first > others).sum() + 0.5 * (first == others).sum()), others.numel()


def sum_hits(output: Tensor, target: Tensor) -> tuple[float, int]:  # noqa: ARG001
    """(samples whose first candidate is among the TOP of all, number of samples). A tie counts against it."""
    better = (output.detach()[:, 1:] >= output.detach()[:, :1]).sum(1)
    return float((better < TOP).sum()), len(output)


class RootMeanSquaredError:
    """A score whose ratio is the mean squared error, and whose `finish` takes the root of that of the whole set."""

    def __call__(self, output: Tensor, target: Tensor) -> tuple[float, int]:
        return sum_squared_error(output, target)

    @staticmethod
    def finish(ratio: float) -> float:
        return math.sqrt(ratio)
