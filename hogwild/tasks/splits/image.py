"""Images kept as bytes, normalised when a batch is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from hogwild.tasks.data import send
from hogwild.tasks.splits.storage import StoredSplit, take


class ImageSplit(StoredSplit):
    """images [n, channels, height, width] uint8, targets [n] int64; inputs are (image / full_scale - mean) / std.

    `mean`, `std`: one number per channel, or one for all, in units of `full_scale`.
    `augment`: images [batch, c, h, w] uint8 -> the same, applied when training.
    """

    stored = ("images", "targets")

    def __init__(
        self,
        images: Tensor,
        targets: Tensor,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        full_scale: float = 255.0,
        augment: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        if images.dtype != torch.uint8 or images.dim() != 4:
            raise ValueError(f"images must be uint8 [n, c, h, w], got {images.dtype} {list(images.shape)}")
        if len(images) != len(targets):
            raise ValueError(f"{len(images)} images but {len(targets)} targets")
        self.images = images
        self.targets = targets
        self.augment = augment
        # (u / full - mean) / std as one multiplication and one addition
        self._scale = _factor([1.0 / (full_scale * s) for s in std])
        self._shift = _factor([-m / s for m, s in zip(mean, std, strict=True)])

    def __len__(self) -> int:
        return len(self.targets)

    def batch(self, index: Tensor, *, train: bool) -> tuple[Tensor, Tensor]:
        images = take(self.images, index)
        if train and self.augment is not None:
            images = self.augment(images)
        inputs = images.float()
        return inputs.mul_(self._on(inputs, self._scale)).add_(self._on(inputs, self._shift)), take(self.targets, index)

    @staticmethod
    def _on(inputs: Tensor, factor: float | Tensor) -> float | Tensor:
        return send(factor, inputs.device) if isinstance(factor, Tensor) else factor


def _factor(values: Sequence[float]) -> float | Tensor:
    return values[0] if len(values) == 1 else torch.tensor(values).view(-1, 1, 1)
