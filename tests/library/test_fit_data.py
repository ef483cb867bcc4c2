"""Data of every shape that hogwild.fit takes."""

from __future__ import annotations

import random
from itertools import chain

import numpy as np
import pytest
import torch
from small_fits import Recording, samples, simulate, two, weights
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset, WeightedRandomSampler

import hogwild
from hogwild.errors import HogwildError, UsageError

# ---- data ---------------------------------------------------------------------------------------------------


def test_data_by_name():
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    result = hogwild.fit(model, "digits", clock="round-robin", epochs=1, lr=0.1)
    assert result.summary["data"] == "digits"
    assert result.summary["test_accuracy"] > 0.5
    with pytest.raises(UsageError, match=r"unknown data set 'digit'. Did you mean 'digits'"):
        simulate(two, "digit")


def test_a_training_set_alone():
    for dataset in (samples(), TensorDataset(*samples()), DataLoader(TensorDataset(*samples()))):
        result = simulate(two, dataset)
        assert result.summary["updates"] == 18
        assert not [name for name in result.summary if name.startswith("test_")]


def doubled(batch: list) -> tuple[Tensor, Tensor]:
    inputs, targets = zip(*batch, strict=True)
    return 2 * torch.stack(inputs), torch.stack(targets)


def test_a_loader_is_taken_apart(capsys):
    data = TensorDataset(*samples(95))
    loader = DataLoader(data, 9, shuffle=True, drop_last=True, collate_fn=doubled, num_workers=0)
    result = hogwild.fit(two, (loader, DataLoader(data, 50)), clock="round-robin", epochs=2, lr=0.1)
    assert (result.summary["batch_size"], result.summary["updates"]) == (9, 20)  # 95 // 9 = 10 per epoch
    assert capsys.readouterr().err == ""
    x, y = samples(95)
    same = hogwild.fit(
        two, ((2 * x, y), None), clock="round-robin", epochs=2, lr=0.1, batch_size=9, drop_last=True
    )  # fmt: skip
    assert torch.equal(weights(result.model), weights(same.model))
    given = hogwild.fit(two, loader, clock="round-robin", epochs=1, lr=0.1, batch_size=19, drop_last=False)
    assert given.summary["updates"] == 5


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (
            {"sampler": WeightedRandomSampler(torch.rand(99), 99)},
            "does not keep its sampler WeightedRandomSampler: every",
        ),
        ({"shuffle": False}, r"does not keep the order of the data set \(shuffle=False\): every pass"),
        ({"shuffle": True, "worker_init_fn": print}, "whose worker_init_fn is not called"),
    ],
)
def test_what_of_a_loader_cannot_be_kept_is_said(options, line, capsys):
    simulate(two, DataLoader(TensorDataset(*samples()), 11, **options))
    import re

    assert re.search(f"dataset: train is a DataLoader,? .*{line}", capsys.readouterr().err)


class Stream(IterableDataset):
    """Sample i has the input i / 100, six times; the noise is of all three generators."""

    def __init__(self, count: int, noise: float = 0.0) -> None:
        self.count, self.noise = count, noise

    def __iter__(self):
        for i in range(self.count):
            noise = self.noise * (torch.rand(()) + np.random.rand() + random.random())
            yield torch.full((6,), i / 100.0) + noise, i % 2


class Sized(Stream):
    def __len__(self) -> int:
        return self.count


def test_a_stream_is_shared_out_among_the_workers_and_begins_anew(monkeypatch):
    monkeypatch.setattr(Recording, "seen", [])
    result = simulate(Recording, Sized(44), workers=2, epochs=2, batch_size=11)
    assert result.summary["samples"] == 88
    seen = Recording.seen[1:]  # after the trial
    assert sorted(chain(*seen[:4])) == [*range(44)]
    assert {tuple(sorted({i % 2 for i in batch})) for batch in seen} == {(0,), (1,)}
    assert sorted(chain(*seen[4:])) == [*range(44)]


def test_a_stream_with_shards_of_its_own(monkeypatch):
    class Sharded(Sized):
        def shard(self, num_shards: int, index: int) -> list:
            half = [*Stream(self.count)]
            return half[index * len(half) // num_shards : (index + 1) * len(half) // num_shards]

    monkeypatch.setattr(Recording, "seen", [])
    simulate(Recording, Sharded(44), workers=2, epochs=1, batch_size=11)
    assert sorted(map(min, Recording.seen[1:])) == [0, 11, 22, 33]


def test_a_stream_without_a_length_needs_updates():
    with pytest.raises(UsageError, match="IterableDataset without __len__, so there are no epochs: give updates="):
        simulate(two, Stream(44))
    values = {"clock": "round-robin", "batch_size": 11, "lr": 0.1, "workers": 2}
    assert hogwild.fit(two, Stream(44), updates=7, **values).summary["updates"] == 7
    with pytest.raises(
        UsageError, match="test is a Stream, an IterableDataset without __len__, and an evaluation must"
    ):
        hogwild.fit(two, (Stream(44), Stream(9)), updates=7, **values)
    with pytest.raises(HogwildError, match="Stream gives worker 1 of 2 no sample: use fewer workers"):
        hogwild.fit(two, Stream(1), updates=7, **values)


def test_a_stream_in_processes_has_random_numbers_of_its_own_for_each_worker():
    values = {"batch_size": 11, "lr": 0.1, "workers": 1}
    runs = [hogwild.fit(two, Sized(44, 0.5), epochs=2, **values) for _ in range(2)]
    assert torch.equal(weights(runs[0].model), weights(runs[1].model))
    from hogwild.tasks.splits import StreamSplit

    noise = [StreamSplit(Stream(1, 1.0)).dealt(9, 1, seed).batch(torch.arange(3), train=True)[0] for seed in (1, 1, 2)]
    assert torch.equal(noise[0], noise[1])
    assert not torch.equal(noise[0], noise[2])


def test_the_numbers_of_a_stream_can_be_read_again_and_after_a_leap():
    from hogwild.tasks.splits import StreamSplit

    split = StreamSplit(Stream(30, 1.0)).dealt(30, 3, 7)
    first = split.batch(torch.tensor([1, 4, 7]), train=True)[0]
    later = split.batch(torch.tensor([34, 37]), train=True)[0]  # the second pass of worker 1
    assert torch.equal(split.batch(torch.tensor([1, 4, 7]), train=True)[0], first)
    fresh = StreamSplit(Stream(30, 1.0)).dealt(30, 3, 7)
    assert torch.equal(fresh.batch(torch.tensor([34, 37]), train=True)[0], later)


# ---- validation ---------------------------------------------------------------------------------------------


def test_validation_chooses_the_best_and_the_test_set_is_evaluated_once():
    result = simulate(two, (samples(), samples(50)), validation=samples(40), epochs=4)
    assert [row["epoch"] for row in result.history] == [1, 2, 3, 4]
    assert all("val_accuracy" in row for row in result.history)
    assert ["test_accuracy" in row for row in result.history] == [False, False, False, True]
    x, y = samples(50)
    right = (result.model(x).argmax(1) == y).float().mean().item()
    assert result.summary["test_accuracy"] == pytest.approx(right)
    assert result.summary["val_accuracy"] == result.history[-1]["val_accuracy"]
    assert result.best["val_accuracy"] == max(row["val_accuracy"] for row in result.history)


def test_a_fraction_of_the_training_set_is_set_apart_and_not_trained(monkeypatch):
    monkeypatch.setattr(Recording, "seen", [])
    x = torch.arange(100.0)[:, None].expand(100, 6) / 100
    result = simulate(Recording, (x, torch.arange(100) % 2), validation=0.2, batch_size=10, epochs=1)
    trained = [*chain(*Recording.seen[1:])]
    assert (len(trained), len(set(trained)), result.summary["samples"]) == (80, 80, 80)
    assert result.summary["val_loss"] > 0
    again = simulate(Recording, (x, torch.arange(100) % 2), validation=0.2, batch_size=10, epochs=1, seed=0)
    assert again.summary["val_loss"] == result.summary["val_loss"]
    with pytest.raises(UsageError, match="a validation set is given, and validation as a fraction"):
        hogwild.fit(two, hogwild_data_with_validation(), validation=0.2, clock="round-robin")


def hogwild_data_with_validation():
    from dataclasses import replace

    from hogwild.tasks import to_data
    from hogwild.tasks.splits import TensorSplit

    return replace(to_data(samples(), "mine"), validation=TensorSplit(*samples(9)))
