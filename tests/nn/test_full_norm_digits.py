"""Full Normalization on batches of a single class: digits, 8 batches of 16 for each of 10 classes."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hogwild import tasks
from hogwild.nn import FullNorm1d

PER_CLASS, BATCH = 128, 16
FOREVER = 1 << 60  # a number of batches after which another batch changes nothing


@pytest.fixture(scope="module")
def data() -> tuple[Tensor, Tensor]:
    """[1280, 64] and [1280], sorted by class."""
    split = tasks.load("digits").train
    inputs, targets = split.batch(torch.arange(len(split)), train=False)
    index = torch.cat([torch.where(targets == k)[0][:PER_CLASS] for k in range(10)])
    return inputs.flatten(1)[index].double(), targets[index]


def net(norm: type[nn.Module], **options: float) -> nn.Sequential:
    torch.manual_seed(0)
    layers = [nn.Linear(64, 64), norm(64, **options), nn.ReLU(), nn.Linear(64, 64), norm(64, **options), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(64, 10)).double()


def single_class_batches() -> list[Tensor]:
    """One class after the other, in turn."""
    batches = torch.arange(10 * PER_CLASS).split(BATCH)
    per_class = PER_CLASS // BATCH
    return [batches[k * per_class + turn] for turn in range(per_class) for k in range(10)]


def gradient(model: nn.Module, data: tuple[Tensor, Tensor], batches: Iterable[Tensor]) -> Tensor:
    """The mean gradient over the batches, the parameters frozen: one flat vector."""
    x, targets = data
    total, count = torch.zeros(0), 0
    for index in batches:
        loss = F.cross_entropy(model(x[index]), targets[index])
        g = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))])
        total, count = g if count == 0 else total + g, count + 1
    return total / count


def error(g: Tensor, want: Tensor) -> float:
    return float((g - want).norm() / want.norm())


@pytest.fixture(scope="module")
def full_batch(data: tuple[Tensor, Tensor]) -> Tensor:
    return gradient(net(nn.BatchNorm1d), data, [torch.arange(10 * PER_CLASS)])


def test_with_exact_averages_the_gradient_is_that_of_the_full_batch(data, full_batch):
    """Statistics of the first layer, then of the second; averages of gradients of the second, then of the first."""
    model, batches = net(FullNorm1d, alpha=0.0), single_class_batches()
    norms = [layer for layer in model if isinstance(layer, FullNorm1d)]
    counters = [n.num_batches_tracked for n in norms] + [n.num_gradients_tracked for n in reversed(norms)]
    for current in counters:
        for counter in counters:
            counter.fill_(FOREVER)
        current.zero_()
        gradient(model, data, batches)
    for counter in counters:
        counter.fill_(FOREVER)
    assert error(gradient(model, data, batches), full_batch) <= 1e-12


def test_the_faster_it_forgets_the_further_off(data, full_batch):
    """Batch normalisation forgets at once, and its gradient differs from that of the full batch."""
    batches, errors = single_class_batches(), {}
    for alpha in (0.01, 0.1):
        model = net(FullNorm1d, alpha=alpha)
        for _ in range(5):
            gradient(model, data, batches)
        errors[alpha] = error(gradient(model, data, batches), full_batch)
    assert 0.01 < errors[0.01] < 0.1
    assert 0.15 < errors[0.1] < 0.4
    assert error(gradient(net(nn.BatchNorm1d), data, batches), full_batch) > 0.9


@pytest.mark.parametrize(
    ("norm", "learns"), [(FullNorm1d, True), pytest.param(nn.BatchNorm1d, False, marks=pytest.mark.slow)]
)
def test_training_on_single_class_batches(data, norm, learns):
    """Evaluated with the stored statistics, on the training data."""
    model, (x, targets) = net(norm), data
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    generator = torch.Generator().manual_seed(0)
    batches = torch.arange(10 * PER_CLASS).split(BATCH)
    for _ in range(8):
        for k in torch.randperm(len(batches), generator=generator):
            optimizer.zero_grad()
            F.cross_entropy(model(x[batches[k]]), targets[batches[k]]).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
    accuracy = float((model.eval()(x).argmax(1) == targets).double().mean())
    assert (accuracy > 0.85) if learns else (accuracy < 0.3)
