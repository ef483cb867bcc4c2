"""The small convolutional net of LeCun et al. (1998) in the size used by Giladi et al. (2020, arXiv:1909.12340).

conv20-5x5, pool, conv50-5x5, pool, fc500, fc-classes, with ReLU after the convolutions and fc500: 431,080 parameters on
28x28. Images smaller than 16x16 get 3x3 convolutions that keep the size.
"""

from __future__ import annotations

from torch import nn

from hogwild.errors import UsageError
from hogwild.tasks.data import Data
from hogwild.tasks.models.initial import he_normal_

SMALL = 16
LEAST = 4


def build(data: Data, norm: bool = False) -> nn.Module:
    """LeNet for images [channels, height, width] of at least 4x4 pixels; with `norm`, BatchNorm before every ReLU."""
    channels, height, width = data.input_shape
    if min(height, width) < LEAST:
        raise UsageError(f"model 'lenet' needs {LEAST}x{LEAST} pixels or more, {data.name} has {height}x{width}")
    kernel, padding = (3, 1) if min(height, width) < SMALL else (5, 0)
    shrink = kernel - 1 - 2 * padding
    rows, columns = (((side - shrink) // 2 - shrink) // 2 for side in (height, width))

    def images(width: int) -> list[nn.Module]:
        return [nn.BatchNorm2d(width)] if norm else []

    def features(width: int) -> list[nn.Module]:
        return [nn.BatchNorm1d(width)] if norm else []

    model = nn.Sequential(
        *(nn.Conv2d(channels, 20, kernel, padding=padding), *images(20), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(20, 50, kernel, padding=padding), *images(50), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(50 * rows * columns, 500), *features(500), nn.ReLU()),
        nn.Linear(500, data.classes),
    )
    he_normal_(model[:-1])
    return model
