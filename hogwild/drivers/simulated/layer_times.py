"""When the parts of a simulated gradient are there (--layer-pushes)."""

from __future__ import annotations

from itertools import accumulate

from hogwild.drivers.view.layers import early
from hogwild.shared.layout import ParameterLayout

FORWARD = 1 / 3
"""The share of the forward pass in the time of a gradient; the backward pass takes time in proportion to parameters."""


class LayerTimes:
    """The early groups of parameters, and the share of a gradient's time after which each has its gradients."""

    def __init__(self, layout: ParameterLayout) -> None:
        elements = [numel for _, numel in layout.segments]
        self.groups = early(elements)
        done = accumulate(sum(elements[place] for place in group) for group in self.groups)
        self.shares = [FORWARD + (1 - FORWARD) * count / sum(elements) for count in done]
