"""The user's own data sets and models."""

from __future__ import annotations

import sys
import textwrap

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from hogwild import tasks
from hogwild.errors import DataError, UsageError

MODULE = """
import torch
from torch import nn
from torch.utils.data import Dataset, TensorDataset
from hogwild.tasks import Data, TensorSplit

def tensors(n, classes=3, dtype=torch.int64):
    generator = torch.Generator().manual_seed(n)
    return torch.randn(n, 5, generator=generator), (torch.arange(n) % classes).to(dtype)

def whole():
    return Data("mine", TensorSplit(*tensors(9)), TensorSplit(*tensors(6)), (5,), 3, "vector")

def pair_of_tensors():
    return tensors(9), tensors(6)

def pair_of_tensor_datasets():
    return TensorDataset(*tensors(9)), TensorDataset(*tensors(6))

class Images(Dataset):
    classes = ["a", "b", "c", "d"]
    def __init__(self, n): self.n = n
    def __len__(self): return self.n
    def __getitem__(self, i):
        if not 0 <= i < self.n: raise IndexError
        return torch.full((1, 8, 8), float(i)), i % 4

def pair_of_data_sets():
    return Images(9), Images(6)

class Unlabelled(Images):
    @property
    def classes(self): raise AttributeError

def pair_without_classes():
    return Unlabelled(9), Unlabelled(6)

class Targets(Unlabelled):
    targets = [0, 5, 1]

def pair_with_targets():
    return Targets(9), Targets(6)

def regression():
    return tensors(9, dtype=torch.float32), tensors(6, dtype=torch.float32)

def text(): return "a path"
def triple(): return tensors(9), tensors(6), tensors(3)
def empty(): return tensors(9), tensors(0)
def uneven(): return tensors(9), (torch.zeros(3, 5), torch.zeros(2))
def stream(): return iter([1]), iter([1])
def lists(): return [1, 2, 3], [4, 5, 6]
def alone(): return ((torch.zeros(3), 1, 2), Images(3))

class Scalars(Images):
    def __getitem__(self, i): return torch.zeros(2)

def scalars(): return Scalars(3), Scalars(3)

number = 7
def net(): return nn.Linear(5, 3)
def sized_net(data): return nn.Linear(data.input_shape[0], data.classes)
def keyword_net(width=4, data=None): return nn.Linear(5, data.classes)
def needs_one(anything): return nn.Linear(5, anything.classes)
class Net(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.linear = nn.Linear(5, width)
def greedy(a, b): return nn.Linear(5, 3)
def no_net(): return 3
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A module in the current directory."""
    (tmp_path / "own_task.py").write_text(textwrap.dedent(MODULE))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield "own_task:"
    sys.modules.pop("own_task", None)


@pytest.mark.parametrize("name", ["whole", "pair_of_tensors", "pair_of_tensor_datasets"])
def test_data_from_tensors(mine, name):
    data = tasks.load(mine + name)
    assert (len(data.train), len(data.test), data.input_shape, data.classes, data.kind) == (9, 6, (5,), 3, "vector")
    inputs, targets = data.train.batch(torch.tensor([2, 4]), train=True)
    assert inputs.shape == (2, 5)
    assert targets.tolist() == [2, 1]
    assert tasks.build_model(tasks.default_model(mine + name, data), data)(inputs).shape == (2, 3)


@pytest.mark.parametrize(
    ("name", "classes"), [("pair_of_data_sets", 4), ("pair_without_classes", 0), ("pair_with_targets", 6)]
)
def test_map_style_data_sets(mine, name, classes):
    data = tasks.load(mine + name)
    assert (len(data.train), len(data.test), data.input_shape, data.classes, data.kind) == (
        9,
        6,
        (1, 8, 8),
        classes,
        "image",
    )
    inputs, targets = data.train.batch(torch.tensor([8, 3]), train=True)
    assert inputs[:, 0, 0, 0].tolist() == [8.0, 3.0]
    assert targets.tolist() == [0, 3]
    assert data.train.tensors() == {}
    assert data.train.with_tensors({}) is data.train
    with pytest.raises(ValueError, match=r"DatasetSplit keeps no tensors, got \['x'\]"):
        data.train.with_tensors({"x": inputs})


def test_floating_point_targets_mean_regression(mine):
    data = tasks.load(mine + "regression")
    assert (data.metric, data.maximize, data.classes) == ("mean_squared_error", False, 0)
    output, target = torch.tensor([[1.0], [2.0]], requires_grad=True), torch.tensor([3.0, 2.0])
    assert data.loss(output, target).item() == 2.0
    assert data.score(output, target) == (4.0, 2)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("text", "own_task:text: train is a str; a training set or a pair"),
        ("triple", "own_task:triple gives a tuple of length 3"),
        ("empty", "own_task:empty: test is empty"),
        ("uneven", "own_task:uneven: test has 3 inputs but 2 targets"),
        ("stream", "own_task:stream: train is a list_iterator"),
        ("lists", "own_task:lists: train is a list"),
        ("alone", "own_task:alone: train is a tuple"),
        ("number", "--data own_task:number: number is int 7, not a function"),
        ("whol", r"own_task.py has no 'whol'. Did you mean 'whole'\?"),
        ("", "--data own_task:: write module:function, for example my_task:make_data"),
    ],
)
def test_faults_of_own_data_are_named(mine, name, message):
    with pytest.raises(UsageError, match=message):
        tasks.load(mine + name)


def test_samples_that_are_not_pairs_are_refused(mine):
    with pytest.raises(DataError, match=r"Scalars\[i\] must be a pair \(input, target\), it is Tensor"):
        tasks.load(mine + "scalars")


def test_modules_that_cannot_be_imported(mine, tmp_path):
    with pytest.raises(UsageError, match=r"--data absent_module:f: no module 'absent_module' in .* or on PYTHONPATH"):
        tasks.load("absent_module:f")
    with pytest.raises(UsageError, match=r"no module 'absent_package' in"):
        tasks.load("absent_package.part:f")
    (tmp_path / "broken.py").write_text("import absent_dependency\n")
    with pytest.raises(ModuleNotFoundError, match="absent_dependency"):  # the author needs this traceback
        tasks.load("broken:f")
    assert mine


@pytest.mark.parametrize("name", ["net", "sized_net", "keyword_net", "needs_one"])
def test_own_models(mine, name):
    model = tasks.build_model(mine + name, tasks.load(mine + "whole"))
    assert isinstance(model, nn.Linear)
    assert model.weight.shape == (3, 5)


def test_own_module_class(mine):
    assert tasks.build_model(mine + "Net", tasks.load(mine + "whole")).linear.weight.shape == (4, 5)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_net", "--model own_task:no_net must return a torch.nn.Module; it returned int"),
        ("greedy", r"--model own_task:greedy needs 2 arguments \(a, b\); it gets the data set or none"),
        ("ne", r"--model own_task:ne: .*own_task.py has no 'ne'. Did you mean 'net'\?"),
    ],
)
def test_faults_of_own_models_are_named(mine, name, message):
    with pytest.raises(UsageError, match=message):
        tasks.build_model(mine + name, tasks.load(mine + "whole"))


def test_known_model_needs_the_number_of_classes(mine):
    with pytest.raises(
        UsageError, match="needs the number of classes, which own_task:pair_without_classes does not have"
    ):
        tasks.build_model("mlp", tasks.load(mine + "pair_without_classes"))


def test_to_data_takes_the_same_values_as_fit():
    train = TensorDataset(torch.zeros(4, 2), torch.tensor([0, 1, 2, 3], dtype=torch.int32))
    data = tasks.to_data((train, train), "dataset")
    assert data.classes == 4
    assert data.train.targets.dtype == torch.int64
    assert tasks.to_data(data, "dataset") is data
    assert tasks.to_data((data.train, data.test), "dataset").train is data.train
