"""Workers in random order: each update draws one of N workers, uses its snapshot, and gives it a fresh one.

The delay is then geometric with mean N - 1. In expectation almost any learning rate is stable (k < 4 N - 2 for `none`),
so the second moment decides. By symmetry it has four small blocks, between the shared state y and the private states
w_i,

    Y = E y y^T,   C = E y w_i^T,   D = E w_i w_i^T,   F = E w_i w_j^T  (i != j),

and one update is an exact linear map of these blocks. Their sizes do not depend on N. Derived here.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hogwild.theory.loop import check_rule
from hogwild.theory.moments import check_noise, first_failure

PRIVATE_BUFFER = ("shifted", "dana")
LOOKS_AHEAD = ("nesterov", "dana")
LARGEST = 64.0

Matrix = NDArray[np.float64]


def random_order_threshold(
    rule: str, workers: int, momentum: float = 0.0, dampening: float = 0.0, *, noise: float = 0.0
) -> float:
    """Largest k = curvature x lr that is stable in mean square for `workers` >= 1 in random order.

    Without weight decay. For `none` it is ((1 - q) + sqrt((1 - q)^2 + 8 N (1 + q))) / (2 N (1 + q)), which is about
    sqrt(2 / N) without noise q.
    Source: derived here (module docstring). Raises ValueError for values out of range.
    """
    check_rule(rule, momentum, dampening)
    check_noise(noise)
    if workers < 1:
        raise ValueError(f"{workers} workers: at least 1 is needed")

    def is_stable(gain: float) -> bool:
        operator = _operator(rule, workers, noise, momentum, gain)
        return float(np.abs(np.linalg.eigvals(operator)).max()) < 1.0

    smallest = LARGEST * 1e-8 * (1.0 - momentum) / (1.0 + noise)
    return first_failure(is_stable, smallest, LARGEST) / (1.0 - dampening)


def random_order_closed_form(workers: int, noise: float = 0.0) -> float:
    """The threshold of `none`, by the formula in random_order_threshold. Derived here."""
    return ((1 - noise) + math.sqrt((1 - noise) ** 2 + 8 * workers * (1 + noise))) / (2 * workers * (1 + noise))


def _update(rule: str, momentum: float, gain: float) -> tuple[Matrix, Matrix, int]:
    """One worker's update of (y, w_i), the effect of a unit of gradient on it, and the place of its snapshot.

    The state is (x, v | s) with a shared buffer and (x | s, v) with private ones, v in units of lr. x is the point that
    a worker reads, so dana is in its Slim form.
    """
    snapshot, buffer = (1, 2) if rule in PRIVATE_BUFFER else (2, 1)
    x, v, pulse = np.eye(3)[0], momentum * np.eye(3)[buffer], np.eye(4)[3]
    rows = np.pad(np.stack([x, v, gain * np.eye(3)[snapshot]]), ((0, 0), (0, 1)))
    g = rows[2] + pulse
    v = rows[1] + g
    x = rows[0] - (g + momentum * v if rule in LOOKS_AHEAD else v)
    after = np.zeros((3, 4))
    after[[0, snapshot, buffer]] = x, x, v
    return after[:, :3], after[:, 3], snapshot


def _operator(rule: str, workers: int, noise: float, momentum: float, gain: float) -> Matrix:
    """The map of (Y, C, D, F), as a matrix [moments, moments]."""
    update, pulse, snapshot = _update(rule, momentum, gain)
    shared = 1 if rule in PRIVATE_BUFFER else 2
    private = 3 - shared
    shapes = [(shared, shared), (shared, private), (private, private), (private, private)]
    ends = np.cumsum([rows * columns for rows, columns in shapes])
    chosen, has_pairs = 1 / workers, float(workers > 1)

    def step(moments: Matrix) -> Matrix:
        y, c, d, f = (part.reshape(shape) for part, shape in zip(np.split(moments, ends[:-1]), shapes, strict=True))
        joint = np.block([[y, c], [c.T, d]])
        joint = update @ joint @ update.T + noise * (gain**2 * joint[snapshot, snapshot]) * np.outer(pulse, pulse)
        to_others = update[:, :shared] @ c + update[:, shared:] @ f
        pairs = to_others[shared:] + to_others[shared:].T
        return np.concatenate(
            [
                joint[:shared, :shared].ravel(),
                (chosen * joint[:shared, shared:] + (1 - chosen) * to_others[:shared]).ravel(),
                (chosen * joint[shared:, shared:] + (1 - chosen) * d).ravel(),
                has_pairs * (chosen * pairs + (1 - 2 * chosen) * f).ravel(),
            ]
        )

    return np.stack([step(unit) for unit in np.eye(ends[-1])], axis=1)
