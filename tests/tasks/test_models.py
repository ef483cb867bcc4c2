"""Every model on every kind of data that it takes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hogwild import tasks
from hogwild.errors import UsageError
from hogwild.tasks import Data, ImageSplit, SparseSplit, TensorSplit, TextSplit
from hogwild.tasks.models import ENTRIES, models_for
from hogwild.tasks.objectives import sum_bits


def made_up(kind: str, shape: tuple[int, ...], classes: int) -> Data:
    """16 samples that look like a known data set."""
    generator = torch.Generator().manual_seed(3)
    targets = torch.randint(classes, (16,), generator=generator)
    if kind == "image":
        pixels = torch.randint(256, (16, *shape), dtype=torch.uint8, generator=generator)
        split = ImageSplit(pixels, targets, mean=[0.5], std=[0.3])
    elif kind == "vector":
        split = TensorSplit(torch.randn(16, *shape, generator=generator), targets)
    elif kind == "sparse":
        split = SparseSplit(torch.randint(shape[0] + 1, (16, 5), dtype=torch.int32, generator=generator), targets)
    else:
        text = torch.randint(classes, (16 * shape[0] + 1,), dtype=torch.uint8, generator=generator)
        split = TextSplit(text, shape[0])
    return Data(f"{kind}{shape}", split, split, shape, classes, kind)


DATA = [
    made_up("image", (1, 8, 8), 10),
    made_up("image", (1, 28, 28), 10),
    made_up("image", (3, 32, 32), 10),
    made_up("image", (2, 17, 23), 3),
    made_up("vector", (30,), 2),
    made_up("sparse", (123,), 2),
    made_up("text", (64,), 65),
]
PAIRS = [(model, data) for data in DATA for model in models_for(data.kind)]


@pytest.mark.parametrize(("name", "data"), PAIRS, ids=[f"{model}-{data.name}" for model, data in PAIRS])
def test_learns_on_every_compatible_data_set(name, data):
    torch.manual_seed(0)
    model = tasks.build_model(name, data)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.002)  # small enough for any of them to go downhill
    inputs, targets = data.train.batch(torch.arange(16), train=True)
    losses = []
    for _ in range(4):
        optimizer.zero_grad()
        output = model(inputs)
        loss = data.loss(output, targets)
        loss.backward()
        losses.append(loss.item())
        assert output.shape == (*targets.shape, data.classes)
        assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in model.parameters())
        assert not any(p.grad.is_sparse for p in model.parameters())
        optimizer.step()
    assert losses[-1] < losses[0]
    total, count = data.score(output, targets)
    assert 0 <= total <= count == targets.numel()


@pytest.mark.parametrize(("name", "data"), PAIRS, ids=[f"{model}-{data.name}" for model, data in PAIRS])
def test_same_seed_same_parameters(name, data):
    built = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        built.append(torch.cat([p.detach().flatten() for p in tasks.build_model(name, data).parameters()]))
    assert torch.equal(built[0], built[1])
    assert name == "logistic" or not torch.equal(built[0], built[2])


@pytest.mark.parametrize(
    ("name", "data", "parameters"),
    [
        ("mlp", DATA[1], 203_530),
        ("lenet", DATA[1], 431_080),
        ("resnet20", DATA[2], 269_722),
        ("logistic", DATA[5], 250),
        ("charlm", DATA[6], 162_561),
    ],
)
def test_sizes_are_as_documented(name, data, parameters):
    assert sum(p.numel() for p in tasks.build_model(name, data).parameters()) == parameters


def test_every_registered_model_was_tested():
    with_tables = {"mf", "skipgram"}  # tests/tasks/test_ratings_and_words.py trains these
    assert {name for name, _ in PAIRS} | with_tables == set(ENTRIES)


def test_resnet_shortcut_has_no_parameters():
    model = tasks.build_model("resnet20", DATA[2])
    assert sum(isinstance(module, nn.Conv2d) for module in model.modules()) == 19
    assert sum(isinstance(module, nn.BatchNorm2d) for module in model.modules()) == 19


def test_lenet_refuses_tiny_images():
    with pytest.raises(UsageError, match=r"'lenet' needs 4x4 pixels or more, image\(1, 3, 9\) has 3x9"):
        tasks.build_model("lenet", made_up("image", (1, 3, 9), 2))


def test_charlm_sees_only_the_past():
    data = DATA[6]
    model = tasks.build_model("charlm", data)
    before = torch.randint(65, (1, 64))
    after = before.clone()
    after[0, 40:] = (after[0, 40:] + 1) % 65
    changed = (model(before) - model(after)).abs().amax(-1)[0]
    assert changed[:40].max() < 1e-5
    assert changed[40:].min() > 1e-3


def test_sparse_logistic_is_the_dense_one():
    data = DATA[5]
    model = tasks.build_model("logistic", data)
    with torch.no_grad():
        model.weight.weight[1:].normal_()
        model.bias.normal_()
    lists = torch.tensor([[3, 7, 0, 0], [1, 2, 123, 0]], dtype=torch.int32)
    dense = torch.zeros(2, 124)
    dense[0, [3, 7]] = dense[1, [1, 2, 123]] = 1
    torch.testing.assert_close(model(lists), dense @ model.weight.weight + model.bias)


def test_bits_of_a_uniform_guess():
    output, target = torch.zeros(2, 7, 16, requires_grad=True), torch.randint(16, (2, 7))
    total, count = sum_bits(output, target)
    assert count == 14
    assert total == pytest.approx(4.0 * 14)
