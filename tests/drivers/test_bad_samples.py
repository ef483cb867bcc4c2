"""Samples that cannot be read are named, left out and counted; too many of them end the run. In both drivers."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

import hogwild
from hogwild.drivers.instruments.left_out import LeftOut
from hogwild.drivers.job.samples import BadSample, Reader
from hogwild.errors import DataError
from hogwild.tasks.splits import DatasetSplit, TensorSplit

SIZE, BATCH = 330, 10
CLOCKS = [None, "gamma"]


class Items(Dataset[Any]):
    """Samples of 6 numbers; those in `faults` raise, or have the shape, the type or the value that is given there."""

    def __init__(self, size: int = SIZE, faults: dict[int, Any] | None = None) -> None:
        self.size, self.faults = size, faults or {}

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, i: int) -> Any:
        fault = self.faults.get(i)
        if isinstance(fault, str):
            raise OSError(fault)
        x = torch.randn(6, generator=torch.Generator().manual_seed(i))
        return (x, int(x.sum() > 0)) if fault is None else fault


def net() -> nn.Module:
    return nn.Linear(6, 2)


def normed() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 7), nn.BatchNorm1d(7), nn.ReLU(), nn.Linear(7, 2))


def fit(tmp_path: Path, train: Items, test: Items | None = None, model=net, **options: Any) -> hogwild.Result:
    values = {"workers": 2, "epochs": 2, "batch_size": BATCH, "lr": 0.05, "out": str(tmp_path), "name": "run"}
    return hogwild.fit(model, (train, test), **{**values, **options})


def faults(tmp_path: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if line["kind"] == "fault"]


def summary(tmp_path: Path) -> dict[str, Any]:
    return json.loads((tmp_path / "run" / "summary.json").read_text())


# ---- what is read of a batch --------------------------------------------------------------------------------------


def read(split: Any, numbers: list[int], least: int = 1, train: bool = True) -> Any:
    return Reader(split, least).read(torch.tensor(numbers), train=train)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("no such file", "OSError: no such file (" + __file__),
        ((torch.zeros(5), 1), r"it does not fit the others: it has (float32 [1, 5], int64 [1]), they have (float32"),
        ((torch.zeros(6), [1, 2]), "it does not fit the others"),
        ((None, 1), "TypeError: default_collate"),
        (None, ""),
    ],
)
def test_the_bad_sample_of_a_batch_is_found(fault: Any, words: str):
    batch = read(DatasetSplit(Items(faults={7: fault} if fault else {})), [5, 7, 3, 9])
    assert batch.index.tolist() == ([5, 3, 9] if fault else [5, 7, 3, 9])
    assert len(batch.inputs) == len(batch.targets) == len(batch)
    assert torch.equal(batch.inputs[0], Items()[5][0])
    if fault:
        [bad] = batch.bad
        assert bad.index == 7
        assert bad.fault.startswith(words)


def test_of_two_samples_the_one_that_is_unlike_earlier_ones_is_bad():
    reader = Reader(DatasetSplit(Items(faults={7: (torch.zeros(5), 1)})))
    reader.read(torch.tensor([1, 2]), train=True)
    assert reader.read(torch.tensor([7, 3]), train=True).index.tolist() == [3]


def test_a_batch_that_fails_once_is_read_again():
    class Once(TensorSplit):
        failures = 1

        def batch(self, index: Tensor, *, train: bool) -> tuple[Tensor, Tensor]:
            if len(index) > 1 and self.failures:
                self.failures -= 1
                raise TimeoutError
            return super().batch(index, train=train)

    batch = read(Once(torch.randn(9, 6), torch.arange(9)), [1, 4, 2])
    assert (batch.targets.tolist(), batch.bad) == ([1, 4, 2], ())


def test_a_batch_that_fails_only_as_a_whole_has_no_good_sample():
    class Alone(TensorSplit):
        def batch(self, index: Tensor, *, train: bool) -> tuple[Tensor, Tensor]:
            if len(index) > 1:
                raise ValueError("one at a time")
            return super().batch(index, train=train)

    batch = read(Alone(torch.randn(9, 6), torch.arange(9)), [1, 4, 2])
    assert len(batch) == 0
    assert [sample.index for sample in batch.bad] == [1, 4, 2]
    assert "ValueError: one at a time" in batch.bad[0].fault


def test_a_batch_of_fewer_samples_than_the_model_takes_is_empty():
    split = DatasetSplit(Items(faults={7: "gone", 3: "gone"}))
    batch = read(split, [5, 7, 3], least=2)
    assert (len(batch), batch.inputs) == (0, None)
    assert [sample.index for sample in batch.bad] == [7, 3]
    assert read(split, [5, 7, 3], least=1).index.tolist() == [5]


def test_the_random_numbers_of_a_batch_do_not_depend_on_what_was_tried():
    class Noisy(Items):
        def __getitem__(self, i: int) -> Any:
            x, y = super().__getitem__(i)
            return x + torch.rand(6) + np.random.rand(), y

    from hogwild.drivers.job.batches import BatchOrder

    class Without(BatchOrder):
        def begin(self, ticket: int, rank: int, completed: int) -> Tensor:
            index = super().begin(ticket, rank, completed)
            return index[index != 7]

    whole, without = BatchOrder(10, 10, 3), Without(10, 10, 3)
    want = Reader(DatasetSplit(Noisy())).of_ticket(without, 4, 0, 0)
    got = Reader(DatasetSplit(Noisy(faults={7: "gone"}))).of_ticket(whole, 4, 0, 0)
    assert torch.equal(got.index, want.index)
    assert torch.equal(got.inputs, want.inputs)


# ---- when they are too many --------------------------------------------------------------------------------------


def test_the_limit_is_one_percent_of_each_pass_and_never_below_two():
    told: list[Any] = []
    left_out = LeftOut("skip", lambda line, **facts: told.append((line, facts)))
    for turn in range(5):
        left_out.add([BadSample(number, "gone") for number in range(3)], "training", turn, 300)
    with pytest.raises(DataError, match=r"4 of the 300 samples of a pass .* more than 1%: the last was sample 9: bad"):
        left_out.add([BadSample(9, "bad")], "training", 4, 300)
    assert [facts["sample"] for _, facts in told] == [0, 1, 2, 9]
    assert left_out.total("training") == 16
    left_out.add([BadSample(0, "gone")], "test", 1, 5)
    with pytest.raises(DataError):
        left_out.add([BadSample(1, "gone")], "test", 1, 5)


def test_after_twenty_samples_only_the_journal_names_them():
    told: list[bool] = []
    left_out = LeftOut("skip", lambda line, **facts: told.append(facts["quietly"]))
    left_out.add([BadSample(number, "gone") for number in range(25)], "training", 0, 10**6)
    assert told == [False] * 20 + [True] * 5


# ---- whole runs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("clock", CLOCKS)
def test_one_bad_sample_is_left_out_and_counted_in_each_epoch(tmp_path: Path, clock: str | None, capsys):
    test = Items(120, {50: (torch.zeros(4), 0)})
    result = fit(tmp_path, Items(faults={17: "img_17.png is damaged"}), test, clock=clock, quiet=True)
    assert result.summary["exit_reason"] == "done"
    assert (result.summary["samples"], result.summary["updates"]) == (2 * SIZE, 66)
    # The parent evaluates once where both epochs end before it sees the first one's end.
    evaluations = sum(math.isfinite(row["test_loss"]) for row in result.history)
    assert evaluations == 2 or (clock is None and evaluations == 1)
    assert (result.summary["bad_samples"], result.summary["bad_test_samples"]) == (2, evaluations)
    train, test_fault = sorted(faults(tmp_path), key=lambda fault: fault["sample"])
    assert (train["reason"], train["part"], train["sample"]) == ("sample", "training", 17)
    assert train["message"].startswith(
        "sample 17 of the training set cannot be read, and is left out: OSError: img_17.png is damaged"
    )
    assert train["message"].endswith(f"traceback in {tmp_path / 'run' / 'log.txt'}")
    log = (tmp_path / "run" / "log.txt").read_text()
    assert log.count("\nOSError: img_17.png is damaged\n") == 1
    assert "Traceback (most recent call last)" in log
    assert (test_fault["part"], test_fault["sample"]) == ("test", 50)
    err = capsys.readouterr().err
    assert err.count("sample 17 of the training set") == 1
    assert result.summary["test_loss"] == result.summary["test_loss"]


def test_the_samples_that_are_left_are_trained_on(tmp_path: Path):
    """One worker makes the same updates as with a data set that never had the bad sample in that batch."""
    bad = fit(tmp_path, Items(faults={17: "gone"}), workers=1, epochs=1, clock="gamma")
    good = fit(tmp_path, Items(), workers=1, epochs=1, clock="gamma", name="good")
    assert bad.summary["updates"] == good.summary["updates"] == 33
    assert not torch.equal(bad.model.weight, good.model.weight)
    torch.testing.assert_close(bad.model.weight, good.model.weight, atol=0.05, rtol=0)


@pytest.mark.parametrize(
    ("algorithm", "clock"),
    [("asgd", None), ("ssgd", None), ("asgd", "gamma"), ("ssgd", "gamma"), ("softsync", "gamma")],
)
def test_a_batch_of_which_nothing_is_left_is_drawn_but_not_pushed(tmp_path: Path, clock: str | None, algorithm: str):
    options = {"access": "locked"} if algorithm == "softsync" else {}
    result = fit(
        tmp_path, Items(faults={17: "gone"}), batch_size=1, clock=clock, algorithm=algorithm, epochs=1, **options
    )
    assert result.summary["samples"] == SIZE
    assert result.summary["bad_samples"] == 1
    if algorithm == "asgd":
        assert result.summary["updates"] == SIZE - 1


@pytest.mark.parametrize("clock", CLOCKS)
def test_what_is_left_of_a_batch_is_enough_for_batch_norm(tmp_path: Path, clock: str | None):
    result = fit(tmp_path, Items(faults={17: "gone"}), model=normed, batch_size=2, clock=clock, epochs=1)
    assert (result.summary["samples"], result.summary["updates"]) == (SIZE, SIZE // 2 - 1)


@pytest.mark.parametrize("clock", CLOCKS)
def test_above_one_percent_the_run_stops_in_order(tmp_path: Path, clock: str | None):
    with pytest.raises(DataError, match=r"4 of the 330 samples of a pass over the training set could not be read"):
        fit(tmp_path, Items(faults=dict.fromkeys([3, 50, 117, 270], "gone")), Items(40), clock=clock, epochs=50)
    end = summary(tmp_path)
    assert end["exit_reason"] == "failed"
    assert end["bad_samples"] >= 4
    assert end["test_accuracy"] >= 0
    assert (tmp_path / "run" / "ckpt" / "last" / "manifest.json").exists()
    assert {fault["reason"] for fault in faults(tmp_path)} == {"sample"}


def test_if_nothing_can_be_read_one_line_says_so(tmp_path: Path):
    bad = Items(faults=dict.fromkeys(range(1, SIZE), "the disk is gone"))
    with pytest.raises(DataError, match=r"samples of a pass over the training set .*OSError: the disk is gone"):
        fit(tmp_path, bad, clock="gamma")
    assert summary(tmp_path)["updates"] < SIZE // BATCH


@pytest.mark.parametrize("clock", CLOCKS)
def test_stop_ends_the_run_at_the_first(tmp_path: Path, clock: str | None):
    with pytest.raises(DataError, match="--on-bad-sample skip leaves such samples out and continues"):
        fit(tmp_path, Items(faults={17: "gone"}), clock=clock, workers=1, epochs=1, batch_size=1, on_bad_sample="stop")
    end = summary(tmp_path)
    assert end["bad_samples"] == 1
    assert end["updates"] == end["samples"]  # the bad one is not among those that were drawn to the end
    assert end["updates"] < SIZE - 1


def test_a_test_set_with_many_bad_samples_stops_the_run(tmp_path: Path):
    with pytest.raises(DataError, match="pass over the test set"):
        fit(tmp_path, Items(), Items(60, {5: "gone", 6: "gone"}), clock="gamma", epochs=50)
    assert (tmp_path / "run" / "ckpt" / "last" / "manifest.json").exists()
    assert "test_loss" not in summary(tmp_path)


def test_a_bad_first_sample_is_no_reason_to_refuse(tmp_path: Path):
    assert fit(tmp_path, Items(faults={0: "gone"}), clock="gamma", epochs=1).summary["bad_samples"] == 1
