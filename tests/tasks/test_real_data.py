"""The published data, if HOGWILD_DATA has them: published counts, and a real batch through the default model."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from hogwild import tasks
from hogwild.tasks.catalog import CIFAR10_IMAGE_ARCHIVES
from hogwild.tasks.datasets.cifar10 import LABELS
from hogwild.tasks.readers.images import decode_images, in_archive

COUNTS = {
    "fashion_mnist": (60_000, 10_000, (1, 28, 28), 10),
    "mnist": (60_000, 10_000, (1, 28, 28), 10),
    "a9a": (32_561, 16_281, (123,), 2),
    "tinyshakespeare": (15_685, 1_742, (64,), 65),
}


@pytest.mark.parametrize("name", COUNTS)
def test_published_counts_and_a_batch_through_the_default_model(name, real_folder):
    data = tasks.load(name, real_folder(name))
    assert (len(data.train), len(data.test), data.input_shape, data.classes) == COUNTS[name]
    model = tasks.build_model(tasks.default_model(name), data)
    inputs, targets = data.train.batch(torch.randint(len(data.train), (32,)), train=True)
    loss = data.loss(model(inputs), targets)
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("name", COUNTS)
def test_check_finds_nothing_wrong(name, real_folder):
    results = tasks.check(name, real_folder(name))
    assert all(ok for _, ok, _ in results), results


@pytest.mark.slow  # it reads everything
def test_class_counts(real_folder):
    fashion = tasks.load("fashion_mnist", real_folder("fashion_mnist"))
    assert fashion.train.targets.bincount().tolist() == [6_000] * 10
    assert fashion.test.targets.bincount().tolist() == [1_000] * 10
    pixels = fashion.train.images.numpy() / np.float32(255)
    assert (round(float(pixels.mean()), 4), round(float(pixels.std()), 4)) == (0.2860, 0.3530)
    census = tasks.load("a9a", real_folder("a9a"))
    assert census.train.targets.bincount().tolist() == [24_720, 7_841]
    assert census.test.targets.bincount().tolist() == [12_435, 3_846]


def test_text_can_be_read_back(real_folder):
    data = tasks.load("tinyshakespeare", real_folder("tinyshakespeare"))
    symbols, _ = data.train.batch(torch.tensor([0]), train=False)
    assert "".join(data.labels[symbol] for symbol in symbols[0]).startswith("First Citizen:\nBefore we proceed")
    assert len(data.train.symbols) + len(data.test.symbols) == 1_115_394


def test_some_members_of_the_cifar_archive(real_folder):
    path = next(path for name in CIFAR10_IMAGE_ARCHIVES if (path := real_folder("cifar10") / name).is_file())
    members = list(itertools.islice(in_archive(path), 200))
    members += [(name.replace("train", "test"), content) for name, content in members[:1]]
    parts = decode_images(iter(members), LABELS, (32, 32), path)
    images, labels = parts["train"]
    assert images.shape == (200, 3, 32, 32)
    assert set(labels) == {0}
    assert 0.3 < images.mean() / 255 < 0.8
