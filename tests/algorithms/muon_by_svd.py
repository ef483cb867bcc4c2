"""The recursion of Muon for one worker, in float64; as the other ones in serial.py."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from hogwild.algorithms.stale.orthogonal import POLAR_EXPRESS

Vector = npt.NDArray[np.float64]


def muon(
    x: Vector, gradient: Callable[[int, Vector], Vector], steps: int, *, lr: float, weight_decay: float, momentum: float
) -> Vector:
    """arXiv:2605.18174 on parameters of the shapes (17, 3), (5,), (1,), by the singular values: five steps of Polar
    Express act on each of them alone.
    """
    v = np.zeros_like(x)
    for k in range(steps):
        g = gradient(k, x)
        v = momentum * v + (1 - momentum) * g
        u = momentum * v + (1 - momentum) * g
        left, values, right = np.linalg.svd(u[:51].reshape(17, 3), full_matrices=False)
        values = values / (np.linalg.norm(values) + 1e-7)
        for a, b, c in POLAR_EXPRESS:
            values = a * values + b * values**3 + c * values**5
        d = np.concatenate([np.sqrt(17 / 3) * ((left * values) @ right).reshape(-1), u[51:]])
        x = x - lr * (d + weight_decay * x)
    return x
