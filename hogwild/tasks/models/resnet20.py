"""ResNet-20 for small images (He et al. 2016, arXiv:1512.03385, section 4.2), with shortcuts of type A.

Three groups of three blocks with 16, 32 and 64 channels. Where a group halves the image, its shortcut takes every
second pixel and fills the new channels with zeros: no parameters. 269,722 parameters on 3x32x32 and 10 classes.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from hogwild.tasks.data import Data
from hogwild.tasks.models.initial import he_normal_

WIDTHS = (16, 32, 64)
BLOCKS = 3


class Block(nn.Module):
    """relu(bn(conv(relu(bn(conv(x))))) + shortcut(x))."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.stride = stride
        self.new_channels = channels - channels_in

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x
        if self.new_channels:
            before = self.new_channels // 2
            shortcut = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, before, self.new_channels - before))
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + shortcut)


def build(data: Data) -> nn.Module:
    """ResNet-20 for images [channels, height, width]."""
    layers: list[nn.Module] = [
        nn.Conv2d(data.input_shape[0], WIDTHS[0], 3, padding=1, bias=False),
        nn.BatchNorm2d(WIDTHS[0]),
        nn.ReLU(),
    ]
    channels = WIDTHS[0]
    for width in WIDTHS:
        for _ in range(BLOCKS):
            layers.append(Block(channels, width, stride=1 if width == channels else 2))
            channels = width
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, data.classes))
    he_normal_(model[:-1])
    return model
