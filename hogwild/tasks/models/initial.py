"""Initial weights for layers that are followed by a ReLU."""

from __future__ import annotations

from torch import nn


def he_normal_(model: nn.Module) -> None:
    """Convolutions and linear layers: weights ~ N(0, 2 / fan_in), biases 0 (He et al. 2015, arXiv:1502.01852).

    Keeps the variance of the activations through ReLUs. Mutates the parameters of `model`; draws from torch's default
    generator.
    """
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
