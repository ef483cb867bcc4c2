"""Image augmentation, as index operations on a whole batch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from hogwild.tasks.data import send

CROP_PADDING = 4


def crop_and_flip(images: Tensor) -> Tensor:
    """Pad by 4 black pixels, cut out the original size at a random place, mirror every second image on average.

    The usual CIFAR augmentation (He et al. 2016, arXiv:1512.03385, section 4.2).
    Args:     images: [batch, c, h, w] uint8 (black is 0); not modified.
    Randomness: torch's default generator, three draws of [batch].
    """
    batch, _, height, width = images.shape
    top, left = send(torch.randint(2 * CROP_PADDING + 1, (2, batch)), images.device)
    mirrored = send(torch.rand(batch).lt(0.5), images.device)
    padded = F.pad(images, (CROP_PADDING,) * 4)
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # [batch, c, 9, 9, h, w], a view
    cut = windows[torch.arange(batch, device=images.device), :, top, left]
    return torch.where(mirrored.view(-1, 1, 1, 1), cut.flip(3), cut)
