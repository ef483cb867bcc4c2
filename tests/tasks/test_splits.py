"""Batches: selection, normalisation, augmentation, replaceable storage."""

from __future__ import annotations

import pickle
import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from hogwild.errors import DataError
from hogwild.tasks import DatasetSplit, ImageSplit, SparseSplit, TensorSplit, TextSplit
from hogwild.tasks.augment import crop_and_flip

INDEX = torch.tensor([4, 0, 4])


def random_images(n: int = 6, channels: int = 3, side: int = 12) -> torch.Tensor:
    return torch.randint(256, (n, channels, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def image_split(**options):
    return ImageSplit(random_images(), torch.arange(6), mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4), **options)


SPLITS = [
    TensorSplit(torch.randn(6, 4), torch.arange(6)),
    image_split(),
    SparseSplit(torch.randint(9, (6, 3), dtype=torch.int32), torch.arange(6)),
    TextSplit(torch.arange(50, dtype=torch.uint8), block=8),
]


@pytest.mark.parametrize("split", SPLITS, ids=lambda split: type(split).__name__)
def test_storage_can_be_replaced_and_pickled(split):
    assert len(split) == 6
    copied = {name: tensor.clone().share_memory_() for name, tensor in split.tensors().items()}
    other = split.with_tensors(copied)
    assert all(other.tensors()[name] is tensor for name, tensor in copied.items())
    assert all(split.tensors()[name] is not tensor for name, tensor in copied.items())
    for version in (other, pickle.loads(pickle.dumps(split))):
        for mine, theirs in zip(split.batch(INDEX, train=False), version.batch(INDEX, train=False), strict=True):
            assert torch.equal(mine, theirs)


@pytest.mark.parametrize("split", SPLITS, ids=lambda split: type(split).__name__)
def test_storage_of_another_form_is_refused(split):
    tensors = split.tensors()
    name = next(iter(tensors))
    with pytest.raises(ValueError, match=r"needs the tensors \["):
        split.with_tensors({"nothing": tensors[name]})
    with pytest.raises(ValueError, match=rf"{name}: .* given, .* needed"):
        split.with_tensors(tensors | {name: tensors[name][:-1]})
    with pytest.raises(ValueError, match=rf"{name}: .*float16 given"):
        split.with_tensors(tensors | {name: tensors[name].half()})


def test_images_are_normalised_per_channel():
    split = image_split()
    inputs, targets = split.batch(INDEX, train=True)
    mean, std = torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1), torch.tensor([0.2, 0.3, 0.4]).view(3, 1, 1)
    torch.testing.assert_close(inputs, (split.images[INDEX].float() / 255 - mean) / std)
    assert targets.tolist() == [4, 0, 4]
    one = ImageSplit(random_images(channels=1), torch.arange(6), mean=[0.3], std=[0.5], full_scale=16)
    torch.testing.assert_close(one.batch(INDEX, train=False)[0], (one.images[INDEX].float() / 16 - 0.3) / 0.5)


def test_augmentation_only_when_training_and_repeatable():
    split = image_split(augment=crop_and_flip)
    plain = split.batch(INDEX, train=False)[0]
    assert torch.equal(plain, split.batch(INDEX, train=False)[0])
    batches = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        batches.append(split.batch(torch.arange(6), train=True)[0])
    assert torch.equal(batches[0], batches[1])
    assert not torch.equal(batches[0], batches[2])


def test_every_augmented_image_is_a_crop_of_the_padded_one():
    images = random_images(n=300)
    torch.manual_seed(0)
    out = crop_and_flip(images)
    assert out.shape == images.shape
    assert out.dtype == torch.uint8
    seen = set()
    for image, cut in zip(images, out, strict=True):
        padded = F.pad(image, (4, 4, 4, 4))
        matches = [
            (top, left, mirrored)
            for top in range(9)
            for left in range(9)
            for mirrored in (False, True)
            if torch.equal(padded[:, top : top + 12, left : left + 12], cut.flip(2) if mirrored else cut)
        ]
        assert len(matches) == 1
        seen.add(matches[0])
    assert {top for top, _, _ in seen} == {left for _, left, _ in seen} == set(range(9))
    assert {mirrored for _, _, mirrored in seen} == {False, True}


def test_text_windows_cover_the_text_once():
    split = TextSplit(torch.arange(50, dtype=torch.uint8), block=8)
    inputs, targets = split.batch(torch.arange(6), train=False)
    assert inputs.flatten().tolist() == list(range(48))
    assert targets.flatten().tolist() == list(range(1, 49))
    assert inputs.dtype == torch.int64


def test_text_windows_move_when_training_but_stay_inside():
    split = TextSplit(torch.arange(50, dtype=torch.uint8), block=8)
    torch.manual_seed(0)
    starts = torch.stack([split.batch(torch.arange(6), train=True)[0][:, 0] for _ in range(200)])
    moved = starts - 8 * torch.arange(6)
    assert moved.min() == 0
    assert moved[:, 0].max() == 7
    assert starts.max() == 50 - 8 - 1


def test_sizes_that_do_not_fit():
    with pytest.raises(ValueError, match="2 inputs but 3 targets"):
        TensorSplit(torch.zeros(2), torch.zeros(3))
    with pytest.raises(ValueError, match="6 images but 2 targets"):
        ImageSplit(random_images(), torch.zeros(2), mean=[0.0], std=[1.0])
    with pytest.raises(ValueError, match=r"images must be uint8 \[n, c, h, w\], got torch.float32 \[2\]"):
        ImageSplit(torch.zeros(2), torch.zeros(2), mean=[0.0], std=[1.0])
    with pytest.raises(ValueError, match="2 rows but 3 targets"):
        SparseSplit(torch.zeros(2), torch.zeros(3))
    with pytest.raises(ValueError, match=r"a text of 8 characters has no window of 8 \+ 1"):
        TextSplit(torch.zeros(8, dtype=torch.uint8), 8)


def test_data_set_split_collates():
    samples = [(torch.full((2,), float(i)), i) for i in range(5)]
    inputs, targets = DatasetSplit(samples).batch(INDEX, train=False)
    assert inputs.tolist() == [[4.0, 4.0], [0.0, 0.0], [4.0, 4.0]]
    assert targets.tolist() == [4, 0, 4]


class Augmented:
    """Its augmentation draws from the generators of Python and NumPy."""

    def __len__(self) -> int:
        return 5

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        return torch.tensor([random.random(), np.random.rand()]), i


class Many:
    """A data set that reads samples together, as torch's DataLoader asks for them."""

    def __init__(self, given: int | None = None) -> None:
        self.asked: list[list[int]] = []
        self.given = given

    def __len__(self) -> int:
        return 5

    def __getitems__(self, numbers: list[int]) -> list[tuple[torch.Tensor, int]]:
        self.asked.append(numbers)
        return [(torch.tensor([i + 0.5]), i) for i in numbers[: self.given]]


def test_a_data_set_that_reads_many_samples_is_asked_once_per_batch():
    many = Many()
    inputs, targets = DatasetSplit(many).batch(INDEX, train=True)
    assert (inputs.tolist(), targets.tolist()) == ([[4.5], [0.5], [4.5]], [4, 0, 4])
    assert many.asked == [[4, 0, 4]]
    with pytest.raises(DataError, match=r"Many\.__getitems__ returned 2 samples, 3 were asked for"):
        DatasetSplit(Many(2)).batch(INDEX, train=True)


class Whole(Augmented):
    def __getitems__(self, numbers: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.tensor(numbers) + 0.5, torch.tensor(numbers)


def test_a_data_set_may_return_whole_batches_to_its_collate_fn():
    inputs, targets = DatasetSplit(Whole(), collate=tuple).batch(INDEX, train=True)
    assert (inputs.tolist(), targets.tolist()) == ([4.5, 0.5, 4.5], [4, 0, 4])


def test_all_generators_belong_to_the_batch_when_training():
    split = DatasetSplit(Augmented())

    def draw(seed: int, *, train: bool = True) -> list[list[float]]:
        torch.manual_seed(seed)
        return split.batch(INDEX, train=train)[0].tolist()

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)
    assert draw(1, train=False) != draw(1, train=False)
