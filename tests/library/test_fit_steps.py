"""Batches of every shape, step_fn, and gradients of several batches."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from small_fits import Recording, no_run, samples, simulate, two, weights
from torch import Tensor, nn
from torch.utils.data import Dataset, TensorDataset

import hogwild
from hogwild.errors import HogwildError, UsageError

# ---- batches of every shape ---------------------------------------------------------------------------------


class Sentences(Dataset):
    """Sequences of other lengths, as dicts."""

    def __len__(self) -> int:
        return 66

    def __getitem__(self, i: int) -> dict[str, object]:
        if not 0 <= i < 66:
            raise IndexError
        return {"tokens": list(range(1, 2 + i % 4)), "label": i % 4}


def padded(batch: list) -> dict[str, Tensor]:
    longest = max(len(sample["tokens"]) for sample in batch)
    tokens = [sample["tokens"] + [0] * (longest - len(sample["tokens"])) for sample in batch]
    return {"tokens": torch.tensor(tokens), "label": torch.tensor([sample["label"] for sample in batch])}


class Reads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.last = nn.Embedding(6, 8), nn.Linear(8, 4)

    def forward(self, tokens: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        output = self.last(self.table(tokens).sum(1))
        return F.cross_entropy(output, label), output


def read(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    loss, output = model(**batch)
    return loss, output, batch["label"]


@pytest.mark.parametrize("clock", [None, "round-robin"])
def test_dicts_of_varying_length_with_a_step_fn(clock):
    result = hogwild.fit(
        Reads, (Sentences(), Sentences()), step_fn=read, collate_fn=padded, metrics={"top1": hogwild.metrics.accuracy},
        clock=clock, workers=2, lr=0.1, epochs=12, batch_size=6,
    )  # fmt: skip
    assert result.summary["test_top1"] > 0.7
    assert result.summary["test_loss"] < 1.2


def only_loss(model: nn.Module, batch: list[Tensor]) -> Tensor:
    inputs, targets = batch
    return F.cross_entropy(model(inputs), targets)


def test_a_step_fn_that_returns_the_loss_alone_is_the_loss_fn():
    plain = simulate(two, (TensorDataset(*samples()), samples(50)), F.cross_entropy)
    for train in (samples(), TensorDataset(*samples()), [*zip(*samples(), strict=True)]):
        dataset = (Listed(train) if isinstance(train, list) else train, samples(50))
        result = simulate(two, dataset, step_fn=only_loss)
        assert torch.equal(weights(result.model), weights(plain.model))
        assert [name for name in result.summary if name.startswith("test_")] == ["test_loss"]


class Listed(Dataset):
    def __init__(self, items: list) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, i: int) -> object:
        return self.items[i]


def test_a_step_fn_that_cannot_be_used_is_told_in_one_line():
    metrics = {"top1": hogwild.metrics.accuracy}
    for step, options, message in (
        (lambda m, b: 3.0, {}, "step_fn returned float 3.0; it must be the loss"),
        (only_loss, {"metrics": metrics}, r"metrics compare outputs, and step_fn returns none: let it return \(loss"),
        (lambda m, b: b.nothing, {}, r"step_fn fails on a batch \(float32 \[11, 6\], int64 \[11\]\): AttributeError"),
        (lambda m, b: m(b[0]), {}, r"step_fn returned float32 \[11, 2\] for a batch .*; it must be one number"),
        (only_loss, {"loss_fn": F.cross_entropy}, "loss_fn and step_fn are both given"),
        (3, {}, r"step_fn is a function \(model, batch\) -> loss; it is int 3"),
    ):
        with pytest.raises(UsageError, match=message):
            simulate(two, (samples(), samples()), step_fn=step, **options)
    with pytest.raises(HogwildError, match=r"must be a pair \(input, target\), it is dict; .* step_fn="):
        simulate(two, (Sentences(), None))
    assert no_run()


def draws(model: nn.Module, batch: list[Tensor]) -> Tensor:
    return only_loss(model, batch) * (1 + random.random() + np.random.rand() + torch.rand(()))


def test_the_random_numbers_of_a_step_belong_to_its_batch():
    runs = [hogwild.fit(two, samples(), step_fn=draws, workers=1, lr=0.1, epochs=1, batch_size=11) for _ in range(2)]
    simulated = simulate(two, samples(), step_fn=draws, workers=1, epochs=1)
    for result in (runs[1], simulated):
        assert torch.equal(weights(runs[0].model), weights(result.model))


# ---- accumulation -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("clock", [None, "round-robin"])
def test_accumulated_gradients_are_those_of_the_whole_batch(clock):
    values = {"clock": clock, "workers": 1, "lr": 0.1, "epochs": 2}
    whole = hogwild.fit(two, samples(), batch_size=33, **values)
    parts = hogwild.fit(two, samples(), batch_size=11, accumulate=3, **values)
    assert parts.summary["updates"] == whole.summary["updates"] == 6
    assert torch.allclose(weights(parts.model), weights(whole.model), atol=1e-6)
    assert parts.summary["train_loss"] == pytest.approx(whole.summary["train_loss"], rel=1e-5)  # the mean
    rest = hogwild.fit(two, samples(98), batch_size=11, accumulate=3, **values)  # 33 + 33 + 32
    assert rest.summary["samples"] == 2 * 98
    assert torch.allclose(
        weights(rest.model), weights(hogwild.fit(two, samples(98), batch_size=33, **values).model), atol=1e-6
    )


def test_parts_of_a_batch_have_random_numbers_of_their_own(monkeypatch):
    class Noise(Dataset):
        def __len__(self) -> int:
            return 44

        def __getitem__(self, i: int) -> tuple[Tensor, int]:
            return torch.full((6,), round(100 * np.random.rand()) / 100), i % 2

    monkeypatch.setattr(Recording, "seen", [])
    simulate(Recording, Noise(), batch_size=11, accumulate=2, workers=1, epochs=1)
    first, second = Recording.seen[1:3]
    assert len(first) == len(second) == 11
    assert first != second
