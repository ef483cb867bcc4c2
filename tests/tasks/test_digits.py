"""The data set in the package; plain SGD learns it."""

from __future__ import annotations

import pickle

import torch

from hogwild import tasks
from hogwild.tasks.locate import ASSETS


def test_counts_split_and_licence():
    data = tasks.load("digits", download=False)
    assert (len(data.train), len(data.test), data.input_shape, data.classes, data.kind) == (
        1437,
        360,
        (1, 8, 8),
        10,
        "image",
    )
    assert data.train.targets.bincount().tolist() == [142, 146, 142, 146, 145, 145, 145, 143, 139, 144]
    assert data.test.targets.bincount().tolist() == [36, 36, 35, 37, 36, 37, 36, 36, 35, 36]
    assert int(data.train.images.max()) == 16
    assert "CC BY 4.0" in (ASSETS / "digits-LICENSE.txt").read_text()


def test_no_sample_is_in_both_parts():
    data = tasks.load("digits")
    train = {bytes(image) for image in data.train.images.flatten(1).numpy()}
    assert not any(bytes(image) in train for image in data.test.images.flatten(1).numpy())


def test_inputs_are_normalised_and_data_is_picklable():
    data = pickle.loads(pickle.dumps(tasks.load("digits")))
    inputs, targets = data.train.batch(torch.arange(len(data.train)), train=True)
    assert (inputs.dtype, targets.dtype) == (torch.float32, torch.int64)
    assert abs(inputs.mean()) < 1e-3
    assert abs(inputs.std() - 1) < 1e-3


def test_plain_sgd_reaches_95_percent():
    torch.manual_seed(0)
    data = tasks.load("digits")
    model = tasks.build_model("mlp", data)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(20):
        for index in torch.randperm(len(data.train)).split(64):
            inputs, targets = data.train.batch(index, train=True)
            optimizer.zero_grad()
            data.loss(model(inputs), targets).backward()
            optimizer.step()
    with torch.no_grad():
        inputs, targets = data.test.batch(torch.arange(len(data.test)), train=False)
        correct, count = data.score(model(inputs), targets)
    assert count == 360
    assert correct / count >= 0.95
