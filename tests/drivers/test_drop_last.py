"""A last batch that is not full: left out where it is asked for, and where one sample would have no statistics."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import hogwild
from hogwild.config import Config
from hogwild.drivers.job.batches import BatchOrder
from hogwild.drivers.job.job import make_job
from hogwild.errors import UsageError
from hogwild.tasks import Data, TensorSplit


def points(count: int) -> tuple[Tensor, Tensor]:
    inputs = torch.randn(count, 6, generator=torch.Generator().manual_seed(count))
    return inputs, (inputs.sum(1) > 0).long()


def data(count: int = 101, targets: Tensor | None = None) -> Data:
    inputs, classes = points(count)
    split = TensorSplit(inputs, classes if targets is None else targets)
    return Data("points", split, split, (6,), 2, "vector")


def normalised() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 9), nn.BatchNorm1d(9), nn.ReLU(), nn.Linear(9, 2))


class Frozen(nn.Module):
    """Its BatchNorm stays in evaluation mode."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = normalised()

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)

    def train(self, mode: bool = True) -> nn.Module:
        super().train(mode)
        self.layers[1].eval()
        return self


def synchronised() -> nn.Module:
    return nn.SyncBatchNorm.convert_sync_batchnorm(normalised())


def plain() -> nn.Module:
    return nn.Linear(6, 2)


@pytest.mark.parametrize(
    ("model", "count", "asked", "left_out"),
    [
        (normalised, 101, None, 1), (synchronised, 101, None, 1), (Frozen, 101, None, 0), (plain, 101, None, 0),
        (normalised, 102, None, 0), (normalised, 100, None, 0), (normalised, 101, False, 0), (plain, 107, True, 7),
        (normalised, 100, True, 0),
    ],
)  # fmt: skip
def test_what_an_epoch_leaves_out(model, count, asked, left_out):
    config = Config(batch_size=10, workers=2, epochs=3, drop_last=asked)
    job = make_job(config, data(count), lambda _: model())
    order = job.order
    assert (order.left_out, order.samples) == (left_out, count - left_out)
    assert job.total_tickets == 3 * order.tickets_per_epoch == 3 * -(-(count - left_out) // 10)
    assert order.samples_before(job.total_tickets) == 3 * (count - left_out)


@pytest.mark.parametrize("least", [1, 2, 7, 10])
@pytest.mark.parametrize("order", ["shuffled", "sorted", "single-class"])
def test_every_other_sample_is_seen_once_per_epoch(order: str, least: int):
    classes = torch.tensor([0] * 31 + [1] * 26 + [2] * 44)  # rests of 1, 6 and 4; of all: 1
    batches = BatchOrder(101, 10, 3, order, classes, least)
    lost = {"single-class": {1: 0, 2: 1, 7: 11, 10: 11}}.get(order, {1: 0, 2: 1, 7: 1, 10: 1})[least]
    assert (batches.left_out, batches.samples) == (lost, 101 - lost)
    missed = []
    for epoch in range(4):
        tickets = range(epoch * batches.tickets_per_epoch, (epoch + 1) * batches.tickets_per_epoch)
        parts = [batches.indices(ticket) for ticket in tickets]
        uses = Counter(torch.cat(parts).tolist())
        assert len(uses) == 101 - lost
        assert set(uses.values()) == {1}
        sizes = [batches.samples_before(t + 1) - batches.samples_before(t) for t in tickets]
        assert sizes == [len(part) for part in parts]
        assert min(sizes) >= least
        assert min(sizes) == batches.smallest
        missed.append(frozenset(range(101)) - set(uses))
    assert len(set(missed)) == (1 if lost == 0 else 4)
    for wanted in (1, 99, 101 - lost, 250):
        tickets = batches.tickets_for(wanted)
        assert batches.samples_before(tickets) >= wanted > batches.samples_before(tickets - 1)


def test_a_run_leaves_the_last_sample_out_and_says_so_once(tmp_path: Path, capsys):
    result = hogwild.fit(
        normalised, (points(101), points(50)), workers=2, epochs=4, batch_size=20, lr=0.1, out=str(tmp_path)
    )
    assert (result.summary["updates"], result.summary["samples"], result.summary["faults"]) == (20, 400, 0)
    assert capsys.readouterr().err.count("each epoch leaves out 1 of 101 samples (--drop-last false keeps them)") == 1
    assert result.model[1].num_batches_tracked > 0


def test_batches_of_one_are_refused_where_they_cannot_train(tmp_path: Path):
    with pytest.raises(UsageError, match="BatchNorm needs batches of two samples or more"):
        hogwild.fit(normalised, (points(30), points(20)), workers=1, epochs=1, batch_size=1, lr=0.1, out=str(tmp_path))


def test_no_batch_is_left():
    with pytest.raises(UsageError, match="--drop-last leaves no batch: no class has 30 samples"):
        BatchOrder(40, 30, 0, "single-class", torch.arange(40) % 2, 30)


def test_batches_are_the_same_wherever_a_run_is_taken_up():
    whole, again = (BatchOrder(101, 10, 7, least=2) for _ in range(2))
    batches = [whole.indices(number) for number in range(30)]
    assert whole.tickets_per_epoch == 10
    for number in (25, 3, 19):
        assert torch.equal(again.indices(number), batches[number])
    assert again.samples_before(25) == 250
