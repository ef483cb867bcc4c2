"""DANA-GA: DANA's look-ahead with the gap penalty on what staleness is left.

    push by i:   G = 1 + |x - snapshot| / C  (element by element, as in gap_aware.py; snapshot is the look-ahead)
                 v' = m v_i + g / G + wd x;   x <- x - lr v';   V <- V + v' - v_i;   v_i <- v'
    pull by i:   snapshot <- x - lr m V

s is the running mean of v_i^2, shared by all, taken before v_i is updated. While s is 0 an element counts as having no
gap, G = 1: C would be nearly 0, and any other gap would silence the gradient. That is so for the first push of every
worker until the first worker pushes again, and for an element as long as all its gradients have been 0 (and wd x too).

Weight decay that is not penalised acts G times as strongly, next to the gradient, as was asked: where G stays above 1,
x settles nearer to 0 than the optimum of F(x) + wd |x|^2 / 2. penalize_wd = true, which divides both, has that optimum.

Source: Barkai et al. 2020 (arXiv:1909.10802) combine the two; the order above is assembled from the parts (penalise,
then private momentum, then look-ahead), as the difference in DANA-DC's code is taken from the look-ahead too.
Deviates: the paper's own pseudo-code was not at hand. C is the running size of the private v_i; weight decay is not
penalised unless asked for, as the authors' code suggests for DANA.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from hogwild.algorithms.base import (
    BELOW_ONE,
    SHARED,
    SNAPSHOT,
    WORKER,
    Algorithm,
    Buffer,
    Gradient,
    Steps,
    View,
    momentum_option,
    option,
)
from hogwild.rules import Dana, Gap


@dataclass(frozen=True)
class DANAGA(Algorithm):
    """Asynchronous SGD with look-ahead, private momentum and the element-wise gap penalty."""

    name: ClassVar[str] = "dana-ga"
    summary: ClassVar[str] = "DANA's look-ahead with the gap penalty"
    stability_rule: ClassVar[str | None] = "dana"
    buffers: ClassVar[Mapping[str, Buffer]] = {
        "x": SHARED,
        "v": WORKER,
        "v_sum": SHARED,
        "s": SHARED,
        "snapshot": SNAPSHOT,
    }
    needs_snapshot: ClassVar[bool] = True

    momentum: float = momentum_option(0.9, "momentum factor m of the private buffers")
    gap_decay: float = option(0.999, "decay Gamma of the running mean of squared steps", check=BELOW_ONE)
    penalize_wd: bool = option(False, "divide the weight decay by the gap too")

    def worker(self, w: View) -> Steps:
        penalty = Gap(self.gap_decay, penalize_weight_decay=self.penalize_wd)
        momentum = Dana(self.momentum)
        w.pull(momentum)
        while True:
            g = yield Gradient(at=w.snapshot)
            w.push(g, momentum=momentum, penalty=penalty)
