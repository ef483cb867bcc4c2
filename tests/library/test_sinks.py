"""The table of evaluations and TensorBoard, as places that a run writes to."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import ClassVar

import pytest
from small_fits import no_run, simulate

import hogwild.errors
from hogwild.errors import UsageError
from hogwild.files.writing import append
from hogwild.runs.journal import Event
from hogwild.runs.sinks import Table


def test_the_table_has_a_row_for_each_evaluation():
    result = simulate(csv=True, epochs=3)
    rows = list(csv.DictReader((Path(result.path) / "evaluations.csv").read_text().splitlines()))
    assert [(row["updates"], row["samples"]) for row in rows] == [("9", "99"), ("18", "198"), ("27", "297")]
    assert float(rows[-1]["test_accuracy"]) == result.summary["test_accuracy"]


def test_a_table_goes_on_with_new_columns_where_it_ended(tmp_path):
    path = tmp_path / "table.csv"
    first = Table(path)
    first.write(Event("eval", 1.0, {"updates": 3, "test_loss": 0.5}))
    first.write(Event("train", 1.5, {"updates": 4, "train_loss": 0.5}))
    Table(path).write(Event("eval", 2.0, {"updates": 6, "a,b": 0.25}))
    assert path.read_text() == 'time,updates,test_loss,"a,b"\n1.0,3,0.5,\n2.0,6,,0.25\n'


def test_a_table_that_is_none_is_refused(tmp_path):
    append(tmp_path / "table.csv", "\x00" * 3 + "\xff" + "\n")
    (tmp_path / "table.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(hogwild.errors.DataError, match="is not a table of evaluations"):
        Table(tmp_path / "table.csv").write(Event("eval", 1.0, {"updates": 3}))


class Writer(SimpleNamespace):
    """Stands in for SummaryWriter."""

    written: ClassVar[list] = []

    def __init__(self, folder: str) -> None:
        super().__init__(folder=folder)

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.written.append((Path(self.folder).name, name, value, step))

    def add_text(self, name: str, text: str) -> None:
        self.written.append((name, text))

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self.written.append("closed")


@pytest.mark.parametrize("name", ["torch.utils.tensorboard", "tensorboardX"])
def test_tensorboard_gets_the_numbers_over_the_updates(name, monkeypatch):
    module = ModuleType(name)
    module.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    monkeypatch.setitem(sys.modules, name, module)
    Writer.written = []
    result = simulate(tb=True, epochs=2)
    assert ("tb", "eval/test_accuracy", result.summary["test_accuracy"], 18) in Writer.written
    assert {"train/lr", "train/delay_mean", "train/train_loss", "eval/epoch"} <= {entry[1] for entry in Writer.written}
    assert Writer.written[-1] == "closed"
    ((_, text),) = [entry for entry in Writer.written if entry[0] == "config"]
    assert "    algorithm: asgd\n" in text


def test_tensorboard_that_is_not_installed_is_told_before_anything_is_made(monkeypatch):
    for name in ("torch.utils.tensorboard", "tensorboardX"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UsageError, match=r"tb needs TensorBoard .*: pip install tensorboard or tensorboardX"):
        simulate(tb=True)
    assert no_run()
