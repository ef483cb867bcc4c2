"""The learning rates at which stale SGD leaves a minimum: thresholds in units of k = curvature x lr.

`curvature` is the largest eigenvalue of the Hessian at the minimum. A rule is one of RULES, a delay is an integer or a
law {delay: probability}. The factor (1 - dampening) on the gradient is included: for standard and shifted momentum
dampening = 0 gives the threshold of torch's lr, and dampening = momentum that of an averaged gradient.
The polynomials and their sources: hogwild/theory/loop.py.
"""

from __future__ import annotations

from hogwild.theory import RULES
from hogwild.theory.loop import Delay
from hogwild.theory.moments import mean_square_threshold, stationary_variance
from hogwild.theory.random_order import random_order_threshold
from hogwild.theory.rates import Fastest, LearningRate, edge, escape_steps, fastest, learning_rate
from hogwild.theory.spectrum import characteristic, radius, threshold

__all__ = [
    "RULES",
    "Delay",
    "Fastest",
    "LearningRate",
    "characteristic",
    "edge",
    "escape_steps",
    "fastest",
    "learning_rate",
    "mean_square_threshold",
    "radius",
    "random_order_threshold",
    "stationary_variance",
    "threshold",
]
