"""A ResNet on CIFAR-10 with crops, flips and mixup; the average of the model is evaluated too, and a run goes on.

HOGWILD_DATA=... python cifar_resnet.py --epochs 30                  then: --epochs 40 --resume runs/...
python cifar_resnet.py --coloured 2000 --width 4 --epochs 2          without CIFAR-10
"""

import argparse
import random
from functools import partial
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

import hogwild
from hogwild.tasks import load
from hogwild.tasks.splits import ImageSplit

MEAN = torch.tensor([0.4914, 0.4822, 0.4465]).view(3, 1, 1)
STD = torch.tensor([0.2470, 0.2435, 0.2616]).view(3, 1, 1)
MIXUP = 0.2


class Images(Dataset[tuple[Tensor, int]]):
    """Images [n, 3, 32, 32] of bytes, normalised; for training cropped and flipped at random."""

    def __init__(self, images: Tensor, labels: Tensor, *, train: bool) -> None:
        self.images, self.labels, self.train = images, labels, train

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        image = self.images[i]
        if self.train:
            top, left = torch.randint(9, (2,)).tolist()
            image = F.pad(image, (4, 4, 4, 4))[:, top : top + 32, left : left + 32]
            image = image.flip(2) if torch.rand(()) < 0.5 else image
        return (image / 255 - MEAN) / STD, int(self.labels[i])


def cifar() -> tuple[Images, Images]:
    """For training and for testing."""
    data = load("cifar10")
    train, test = data.train, data.test
    assert isinstance(train, ImageSplit)
    assert isinstance(test, ImageSplit)
    return Images(train.images, train.targets, train=True), Images(test.images, test.targets, train=False)


def coloured(samples: int) -> tuple[Images, Images]:
    """Noise around a colour of each class, in place of CIFAR-10; a fifth is for testing."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(10, (samples,), generator=generator)
    colours = torch.randint(256, (10, 3, 1, 1), generator=generator)
    noise = torch.randint(256, (samples, 3, 32, 32), generator=generator)
    images, cut = ((colours[labels] + noise) // 2).byte(), samples * 4 // 5
    return Images(images[:cut], labels[:cut], train=True), Images(images[cut:], labels[cut:], train=False)


def convolution(channels_in: int, channels: int, size: int = 3) -> nn.Module:
    """Halves the image where there are more channels than before."""
    stride = 1 if channels_in in (3, channels) else 2
    convolution = nn.Conv2d(channels_in, channels, size, stride, padding=size // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(channels))


class Block(nn.Module):
    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.first, self.second = convolution(channels_in, channels), convolution(channels, channels)
        self.shortcut = nn.Identity() if channels_in == channels else convolution(channels_in, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.second(F.relu(self.first(x))) + self.shortcut(x))


class ResNet(nn.Sequential):
    """ResNet-20 with width 16 (He et al. 2016, arXiv:1512.03385, section 4.2)."""

    def __init__(self, width: int) -> None:
        widths = [width] * 4 + [2 * width] * 3 + [4 * width] * 3
        blocks = (Block(*pair) for pair in pairwise(widths))
        pool, last = nn.AdaptiveAvgPool2d(1), nn.Linear(4 * width, 10)
        super().__init__(convolution(3, width), nn.ReLU(), *blocks, pool, nn.Flatten(), last)


def step(model: nn.Module, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """(loss, output, labels), in training with mixup (Zhang et al. 2018, arXiv:1710.09412)."""
    x, y = batch
    share = random.betavariate(MIXUP, MIXUP) if model.training else 1.0
    other = torch.randperm(len(x)) if model.training else torch.arange(len(x))
    output = model(share * x + (1 - share) * x[other])
    loss = share * F.cross_entropy(output, y) + (1 - share) * F.cross_entropy(output, y[other])
    return loss, output, y


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--coloured", type=int, default=0, help="that many synthetic images in place of CIFAR-10")
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--lr", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", help="the directory of a run that is to go on")
    given = parser.parse_args()
    result = hogwild.fit(
        partial(ResNet, given.width), coloured(given.coloured) if given.coloured else cifar(), step_fn=step,
        metrics={"top1": hogwild.metrics.accuracy, "top5": hogwild.metrics.top_k(5)}, callbacks=[hogwild.EMA(0.99)],
        lr=given.lr, momentum=0.9, weight_decay=5e-4, no_decay="bias,norm", schedule="cosine", warmup=0.1,
        workers=given.workers, epochs=given.epochs, batch_size=given.batch_size, seed=given.seed, resume=given.resume,
    )  # fmt: skip
    print("top-1 {test_top1:.3f}, top-5 {test_top5:.3f}, average {ema_test_top1:.3f}".format(**result.summary))
    print(result.path)
